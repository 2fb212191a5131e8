//! A secret whose rotation is made to fail, and the ways out of it.

use serde_json::json;

use super::application::{Application, STEPS};
use super::lambda::{Failure, Function};
use super::pair::Pair;
use super::proxy::AwsProxy;
use super::wire::Wire;
use super::world;

/// What is done about a rotation that a fault has stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WayOut {
    /// Secrets Manager sends the same token again.
    Retry,
    /// It is given up: the label is taken away, and another rotation begins.
    Abandon,
    /// A person calls `recover`.
    Recover,
}

/// A secret whose two ways lead through something that can be made to fail.
pub struct Stage {
    pub proxy: AwsProxy,
    pub wire: Wire,
    pub function: Function,
    pub application: Application,
    pub pair: bool,
}

impl Stage {
    pub async fn new(pair: bool) -> Self {
        let (proxy, wire) = (AwsProxy::start(), Wire::idle());
        let function = function(&proxy);
        let application = if pair {
            Pair::through(&wire).await.application
        } else {
            wire.application(|_| {}).await
        };
        Self { proxy, wire, function, application, pair }
    }

    /// Another one on the same ways.
    pub fn another_function(&self) -> Function {
        function(&self.proxy)
    }

    pub async fn rotate(&self, function: &Function, token: &str) -> Result<(), Failure> {
        for step in STEPS {
            self.application.step(function, step, token).await?;
        }
        Ok(())
    }

    pub async fn login(&self) -> bool {
        let value = self.application.value("AWSCURRENT").await.expect("AWSCURRENT has a value");
        let value: serde_json::Value = serde_json::from_str(&value).expect("JSON");
        let text = |key: &str| value[key].as_str().expect("a string").to_owned();
        world().postgres.login(&text("username"), &text("password")).await.is_ok()
    }

    /// The way out leads to a secret whose AWSCURRENT works, and that the next rotation can be
    /// begun for.
    pub async fn leave(&self, way: WayOut, token: &str, context: &str) {
        match way {
            WayOut::Retry => {
                let again = self.rotate(&self.function, token).await;
                assert!(again.is_ok(), "{context}: {again:?}");
            }
            WayOut::Abandon => {
                let token = self.application.begin_again().await;
                let again = self.rotate(&self.function, &token).await;
                assert!(again.is_ok(), "{context}: {again:?}");
            }
            WayOut::Recover => {
                let recovered = self
                    .function
                    .invoke(json!({"Operation": "recover", "SecretId": self.application.secret}))
                    .await;
                assert!(recovered.is_ok(), "{context}: {recovered:?}");
                self.passes_the_test(context).await;
            }
        }
        assert!(self.login().await, "{context}: AWSCURRENT does not log in");
        let status = self
            .function
            .invoke(json!({"Operation": "status", "SecretId": self.application.secret}))
            .await;
        assert!(
            status.as_ref().is_ok_and(|status| status["Remedy"] == "Nothing"),
            "{context}: {status:?}"
        );
    }

    /// The test that RotateImmediately=false has made of AWSCURRENT.
    async fn passes_the_test(&self, context: &str) {
        let next = self.application.begin().await;
        let tested = self.application.step(&self.function, "testSecret", &next).await;
        assert!(
            tested.as_ref().is_ok_and(|report| report["Outcome"] == "CurrentTested"),
            "{context}: {tested:?}"
        );
        self.application.take_off_pending().await;
    }
}

fn function(proxy: &AwsProxy) -> Function {
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    Function::start(&[("AWS_ENDPOINT_URL", &proxy.url), ("ROTATION_POLICY", &policy)])
}
