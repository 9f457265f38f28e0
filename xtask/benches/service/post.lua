-- What wrk sends.
wrk.method = "POST"
wrk.body = '{"data":"reverse me"}'
wrk.headers["content-type"] = "application/json"
