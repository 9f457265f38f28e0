//! An OpenID Connect issuer whose keys a test rotates, which nobody else's can be made to do. What it hands out is
//! signed and encoded by libraries that are not ours.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

pub(crate) struct Issuer {
    pub(crate) url: String,
    documents: Arc<Mutex<BTreeMap<String, String>>>,
    /// How often it was asked for its keys.
    pub(crate) asked: Arc<AtomicUsize>,
}

pub(crate) struct SigningKey {
    id: String,
    private: EncodingKey,
    public: Value,
}

impl SigningKey {
    pub(crate) fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
        // 0x04, then both coordinates.
        let point = pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
        let public = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y});
        Self { id: id.to_owned(), private: EncodingKey::from_ec_der(pkcs8.as_ref()), public }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.private).unwrap()
    }
}

impl Issuer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let documents = BTreeMap::from([("/.well-known/openid-configuration".to_owned(), discovery.to_string())]);
        let issuer = Self { url, documents: Arc::new(Mutex::new(documents)), asked: Arc::default() };
        let (documents, asked) = (issuer.documents.clone(), issuer.asked.clone());
        // It ends with the process of the tests.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
                lines.for_each(drop);
                if path == "/keys" {
                    asked.fetch_add(1, Ordering::SeqCst);
                }
                let body = documents.lock().unwrap().get(&path).cloned();
                let (status, body) = body.map_or(("503 Service Unavailable", String::new()), |body| ("200 OK", body));
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
                let _ = reader.get_mut().write_all((head + &body).as_bytes());
            }
        });
        issuer
    }

    /// It answers with these keys from now on; with none, 503.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        let mut documents = self.documents.lock().unwrap();
        if keys.is_empty() {
            documents.remove("/keys");
        } else {
            let keys: Vec<_> = keys.iter().map(|key| &key.public).collect();
            documents.insert("/keys".to_owned(), json!({"keys": keys}).to_string());
        }
    }

    /// What a good token says.
    pub(crate) fn claims(&self) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({"iss": self.url, "sub": "ada", "aud": "app", "exp": now + 300, "iat": now})
    }
}
