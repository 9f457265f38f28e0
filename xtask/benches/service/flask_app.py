# What the service replaces: the same request in Flask, for gunicorn.
from flask import Flask, jsonify, request

app = Flask(__name__)


@app.get("/healthz")
def healthz():
    return "ok\n"


@app.post("/v1")
def transform():
    return jsonify(data=request.get_json()["data"][::-1].upper())
