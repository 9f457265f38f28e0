use super::*;

fn signer() -> Signer {
    Signer::new(&rcgen::KeyPair::generate().expect("there are random numbers").serialize_der()).expect("it is a key")
}

fn claims() -> Claims {
    let account = Reference { name: "default".into(), uid: Some("1-2".into()) };
    let bound = Bound { namespace: "app".into(), node: None, pod: None, secret: None, serviceaccount: account };
    Claims {
        aud: vec![AUDIENCE.into()],
        exp: 2000,
        iat: 1000,
        iss: ISSUER.into(),
        jti: "one".into(),
        bound,
        nbf: 1000,
        sub: "system:serviceaccount:app:default".into(),
    }
}

#[test]
fn verifies_what_it_signed_while_that_is_valid() {
    let signer = signer();
    let token = signer.sign(&claims()).expect("it is signed");
    assert_eq!(signer.verify(&token, 1000), Some(claims()));
    assert_eq!(signer.verify(&token, 1999), Some(claims()));
    assert_eq!(signer.verify(&token, 999), None, "too early");
    assert_eq!(signer.verify(&token, 2000), None, "too late");
}

#[test]
fn refuses_tokens_of_others_and_changed_ones() {
    let signer = signer();
    let token = signer.sign(&claims()).expect("it is signed");
    let other = self::signer();
    assert_eq!(other.verify(&token, 1000), None);
    // Another's signature under our key's name.
    let forged = Signer { id: signer.id.clone(), ..other };
    assert_eq!(signer.verify(&forged.sign(&claims()).expect("it is signed"), 1000), None);
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("it has three parts") };
    let mut more = claims();
    more.sub = "system:serviceaccount:kube-system:admin".into();
    let changed = URL_SAFE_NO_PAD.encode(json!(more).to_string());
    let unsigned = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": signer.id}).to_string());
    for bad in [
        format!("{head}.{changed}.{signature}"),
        format!("{unsigned}.{body}."),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        "..".to_owned(),
        String::new(),
    ] {
        assert_eq!(signer.verify(&bad, 1000), None, "{bad}");
    }
}
