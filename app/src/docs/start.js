// Shows the document of this service, with requests ready to be tried. Nothing is asked of anybody else: no validator.
window.explorer = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#explorer",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
