//! The connections to Secrets Manager by TLS: which roots are trusted for what, and that none is
//! made twice.

use std::process::Command;

use crate::world::application::{Application, STEPS};
use crate::world::https::{Authority, systems_roots};
use crate::world::lambda::{Failure, Function};
use crate::world::proxy::AwsProxy;
use crate::world::temporary_folder;

/// What a first step comes to over HTTPS, in a function with these variables.
async fn created(proxy: &AwsProxy, environment: &[(&str, &str)]) -> Result<(), Failure> {
    let endpoint = [("AWS_ENDPOINT_URL", proxy.url.as_str())];
    let function = Function::start(&[&endpoint, environment].concat());
    let application = Application::new().await;
    let token = application.begin().await;
    application.step(&function, STEPS[0], &token).await.map(drop)
}

#[tokio::test]
async fn another_endpoint_than_amazons_is_verified_by_the_systems_roots() {
    let authority = Authority::new();
    let proxy = AwsProxy::start_with(&authority);
    let refused = created(&proxy, &[]).await.unwrap_err();
    assert_eq!(refused.kind, "SecretsManagerUnavailable", "{refused:?}");
    assert!(refused.message.contains("UnknownIssuer"), "{refused:?}");
    assert_eq!(proxy.calls(), [], "nothing is sent to a server that is not known");

    let bundle = authority.bundle(&systems_roots()).display().to_string();
    created(&proxy, &[("SSL_CERT_FILE", &bundle)]).await.unwrap();
}

#[tokio::test]
async fn a_bundle_takes_the_place_of_all_other_roots() {
    let (authority, other) = (Authority::new(), Authority::new());
    let proxy = AwsProxy::start_with(&authority);
    let (bundle, others) = (authority.bundle(&[]), other.bundle(&systems_roots()));
    let (bundle, others) = (bundle.display().to_string(), others.display().to_string());
    let refused = [("AWS_CA_BUNDLE", others.as_str()), ("SSL_CERT_FILE", bundle.as_str())];
    assert!(created(&proxy, &refused).await.unwrap_err().message.contains("UnknownIssuer"));
    assert_eq!(proxy.calls(), []);

    // The system's bundle is a pipe that nothing is ever written into: to read it takes for ever.
    let folder = temporary_folder("pipe");
    let pipe = folder.join("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    created(&proxy, &[("AWS_CA_BUNDLE", &bundle), ("SSL_CERT_FILE", &pipe)]).await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_process_that_answers_several_events_makes_its_connections_once() {
    let authority = Authority::new();
    let proxy = AwsProxy::start_with(&authority);
    let bundle = authority.bundle(&[]).display().to_string();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url), ("AWS_CA_BUNDLE", &bundle)]);
    for turn in 0..2 {
        let application = Application::new().await;
        let token = application.begin().await;
        for (number, step) in STEPS.into_iter().enumerate() {
            application.step(&function, step, &token).await.unwrap();
            // createSecret asks three things at once.
            assert_eq!(proxy.handshakes(), 3, "step {number} of turn {turn}");
        }
    }
}
