//! How Secrets Manager can fail.

use crate::deadline::Elapsed;

/// How Secrets Manager failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFault {
    #[error(
        "IAM does not allow it. Allow {action} on this secret to the function's role. With a \
         customer managed key, allow kms:Decrypt and kms:GenerateDataKey on that key too. \
         [{detail}]"
    )]
    AccessDenied { action: String, detail: String },
    #[error(
        "IAM does not allow it. Allow secretsmanager:ListSecrets on \"*\" to the function's role, \
         or name the secrets in \"SecretIds\". [{0}]"
    )]
    ListDenied(String),
    #[error(
        "the secret or version does not exist. Check the SecretId, the region and the account. \
         [{0}]"
    )]
    NotFound(String),
    #[error(
        "Secrets Manager throttled every attempt. A retry succeeds once there are fewer calls. \
         [{0}]"
    )]
    Throttled(String),
    #[error(
        "Secrets Manager could not be reached, or had an internal error on every attempt. Check \
         the function's route to the endpoint (VPC endpoint or NAT, security group, DNS). [{0}]"
    )]
    Unavailable(String),
    #[error(
        "Secrets Manager did not answer. Check the function's route to the endpoint (VPC endpoint \
         or NAT, security group, DNS). [{0}]"
    )]
    TimedOut(Elapsed),
    #[error(
        "KMS could not decrypt or encrypt the value. Check the key, and allow kms:Decrypt and \
         kms:GenerateDataKey on it to the function's role. [{0}]"
    )]
    Decryption(String),
    #[error(
        "something other than Secrets Manager answered, such as a proxy's page (HTTP status {0}). \
         Check what answers at the endpoint: SECRETS_MANAGER_ENDPOINT, AWS_ENDPOINT_URL, the VPC \
         endpoint, and the proxy or firewall on the way."
    )]
    Garbled(u16),
    #[error(
        "AWS does not accept the function's credentials: they have expired, or belong to another \
         partition. Check the function's role and region. A retry gets new credentials. [{0}]"
    )]
    Credentials(String),
    #[error("Secrets Manager refused the call. Correct what it says in brackets, and retry. [{0}]")]
    Refused(String),
}

impl StoreFault {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::AccessDenied { .. } | Self::ListDenied(_) => "SecretsManagerAccessDenied",
            Self::NotFound(_) => "SecretNotFound",
            Self::Throttled(_) => "SecretsManagerThrottled",
            Self::Unavailable(_) => "SecretsManagerUnavailable",
            Self::TimedOut(_) => "SecretsManagerTimedOut",
            Self::Decryption(_) => "DecryptionFailed",
            Self::Garbled(_) => "SecretsManagerAnswerUnreadable",
            Self::Credentials(_) => "SecretsManagerCredentialsRefused",
            Self::Refused(_) => "SecretsManagerRefused",
        }
    }

    pub(super) fn retryable(&self) -> bool {
        matches!(
            self,
            Self::Throttled(_)
                | Self::Unavailable(_)
                | Self::TimedOut(_)
                | Self::Garbled(_)
                | Self::Credentials(_)
        )
    }
}
