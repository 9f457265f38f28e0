//! JSON Web Tokens of service accounts (RFC 7519), signed with ECDSA on P-256 (ES256, RFC 7518).

use std::fmt::{self, Debug, Formatter};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Who issues the tokens.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// For whom, unless another is asked for: this API server.
pub(crate) const AUDIENCE: &str = ISSUER;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Who may rely on it.
    pub(crate) aud: Vec<String>,
    /// Until when it is valid, in seconds since 1970.
    pub(crate) exp: i64,
    /// When it was issued.
    pub(crate) iat: i64,
    /// By whom.
    pub(crate) iss: String,
    /// Tells it from others.
    pub(crate) jti: String,
    /// Whose it is and what it lives with.
    #[serde(rename = "kubernetes.io")]
    pub(crate) bound: Bound,
    /// From when on it is valid.
    pub(crate) nbf: i64,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub(crate) sub: String,
}

/// The objects that a token lives with: without one of them it is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    /// Of the account, the pod and the secret.
    pub(crate) namespace: String,
    /// The pod's node, for information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<Reference>,
    /// The pod that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Reference>,
    /// The secret that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Reference>,
    /// The account.
    pub(crate) serviceaccount: Reference,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    /// Its name.
    pub(crate) name: String,
    /// Its identity, without which it could be another of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
}

/// Signs tokens, and knows its own.
pub struct Signer {
    key: EcdsaKeyPair,
    id: String,
}

impl Debug for Signer {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Signer {
    /// A signer with a private key in PKCS #8.
    ///
    /// # Errors
    /// When it is no key on P-256.
    pub fn new(key: &[u8]) -> Result<Self, String> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key).map_err(|error| error.to_string())?;
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(key.public_key()));
        Ok(Self { key, id })
    }

    /// A token; none if the system has no random numbers.
    pub(crate) fn sign(&self, claims: &Claims) -> Option<String> {
        let head = json!({"alg": "ES256", "kid": self.id});
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(head.to_string()), encode(json!(claims).to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What a token of ours says, if it is valid now (in seconds since 1970).
    pub(crate) fn verify(&self, token: &str, now: i64) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let head: Value = serde_json::from_slice(&decode(head)?).ok()?;
        if head["alg"] != "ES256" || head["kid"] != self.id.as_str() {
            return None;
        }
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key());
        public.verify(signed.as_bytes(), &decode(signature)?).ok()?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
        (claims.iss == ISSUER && claims.nbf <= now && now < claims.exp).then_some(claims)
    }

    /// The public key, as others verify tokens with it (RFC 7517).
    pub(crate) fn key_set(&self) -> Value {
        // An uncompressed point: a 4, x, y.
        let point = self.key.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
        json!({"keys": [{
            "use": "sig",
            "kty": "EC",
            "kid": self.id,
            "crv": "P-256",
            "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        }]})
    }
}

#[cfg(test)]
mod tests;
