//! The cluster's certificate authority and the API server's certificate.

use std::{net::IpAddr, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

use super::{Error, directory::Directory};
use crate::access::Signer;

const CERTIFICATE: &str = "pki/ca.crt";
const KEY: &str = "pki/ca.key";
const ACCOUNTS: &str = "pki/sa.key";
/// By what names pods and the host call the API server.
const NAMES: [&str; 5] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// What clients trust.
pub(super) struct Authority {
    /// PEM.
    pub(super) certificate: String,
    key: KeyPair,
}

impl Authority {
    /// Reads the authority, made at the first start.
    pub(super) fn open(directory: &Directory) -> Result<Self, Error> {
        if let (Some(certificate), Some(key)) = (directory.read(CERTIFICATE)?, directory.read(KEY)?) {
            let broken = |file: &str, reason: String| Error::State { path: directory.file(file), reason };
            if !certificate.contains("-----END CERTIFICATE-----") {
                return Err(broken(CERTIFICATE, "it holds no certificate".to_owned()));
            }
            let key = KeyPair::from_pem(&key).map_err(|error| broken(KEY, format!("it holds no key ({error})")))?;
            return Ok(Self { certificate, key });
        }
        // With one of the two missing the other is worth nothing: both anew.
        let key = KeyPair::generate().map_err(certificate)?;
        let pem = parameters().self_signed(&key).map_err(certificate)?.pem();
        directory.write(KEY, &key.serialize_pem())?;
        directory.write(CERTIFICATE, &pem)?;
        Ok(Self { certificate: pem, key })
    }

    /// Makes the server's certificate, which lives as long as the process, and takes connections with it.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, Error> {
        let mut leaf = CertificateParams::new(NAMES.map(str::to_owned)).map_err(certificate)?;
        leaf.subject_alt_names.push(SanType::IpAddress(IpAddr::from([127, 0, 0, 1])));
        leaf.distinguished_name = name("kube-apiserver");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(certificate)?;
        let signed = leaf.signed_by(&key, &Issuer::from_params(&parameters(), &self.key)).map_err(certificate)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![signed.der().clone()], private))
            .map_err(|error| Error::Certificate(error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// What signs the tokens of service accounts, made at the first start.
pub(super) fn signer(directory: &Directory) -> Result<Signer, Error> {
    let broken = |reason: String| Error::State { path: directory.file(ACCOUNTS), reason };
    let key = match directory.read(ACCOUNTS)? {
        Some(pem) => KeyPair::from_pem(&pem).map_err(|error| broken(format!("it holds no key ({error})")))?,
        None => {
            let key = KeyPair::generate().map_err(certificate)?;
            directory.write(ACCOUNTS, &key.serialize_pem())?;
            key
        }
    };
    Signer::new(&key.serialize_der()).map_err(broken)
}

/// The authority's own certificate; the issuer of the server's is told by the same.
fn parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name("slipway local cluster");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn certificate(error: rcgen::Error) -> Error {
    Error::Certificate(error.to_string())
}
