//! How Secrets Manager can fail.

use crate::deadline::Elapsed;

/// How Secrets Manager failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFault {
    #[error(
        "IAM does not allow it. Allow {action} on this secret to the function's role; with a \
         customer managed key also kms:Decrypt and kms:GenerateDataKey on that key. [{detail}]"
    )]
    AccessDenied { action: String, detail: String },
    #[error(
        "there is no such secret or version. Check the SecretId, the region and the account. [{0}]"
    )]
    NotFound(String),
    #[error(
        "Secrets Manager throttled every attempt. It succeeds on a retry once there are fewer \
         calls. [{0}]"
    )]
    Throttled(String),
    #[error(
        "Secrets Manager could not be reached or had an internal error on every attempt: check the \
         function's route to the endpoint (VPC endpoint or NAT, security group, DNS). [{0}]"
    )]
    Unavailable(String),
    #[error(
        "no answer from Secrets Manager: check the function's route to the endpoint (VPC endpoint \
         or NAT, security group, DNS). [{0}]"
    )]
    TimedOut(Elapsed),
    #[error(
        "the value cannot be decrypted: check the KMS key and the function's right to kms:Decrypt \
         on it. [{0}]"
    )]
    Decryption(String),
    #[error("it was refused. [{0}]")]
    Refused(String),
}

impl StoreFault {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::AccessDenied { .. } => "SecretsManagerAccessDenied",
            Self::NotFound(_) => "SecretNotFound",
            Self::Throttled(_) => "SecretsManagerThrottled",
            Self::Unavailable(_) => "SecretsManagerUnavailable",
            Self::TimedOut(_) => "SecretsManagerTimedOut",
            Self::Decryption(_) => "DecryptionFailed",
            Self::Refused(_) => "SecretsManagerRefused",
        }
    }

    pub(super) fn retryable(&self) -> bool {
        matches!(self, Self::Throttled(_) | Self::Unavailable(_) | Self::TimedOut(_))
    }
}
