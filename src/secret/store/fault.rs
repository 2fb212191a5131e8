//! Classifies the SDK's errors by the service's error code.

use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use super::client::TOO_MANY_REQUESTS;
use crate::error::{Error, StoreFault, chain, clean};

/// AWS's codes for throttling. The SDK retries each before it becomes an error.
const THROTTLED: [&str; 5] = [
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
];

/// AWS's codes for credentials that it does not accept at all.
const CREDENTIALS: [&str; 7] = [
    "ExpiredTokenException",
    "ExpiredToken",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
];

/// The error of a failed operation.
pub(super) fn classify<E>(
    operation: &'static str,
    secret: &str,
    error: &SdkError<E, HttpResponse>,
) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let fault = match error {
        SdkError::ServiceError(refusal) => {
            let status = refusal.raw().status().as_u16();
            service_fault(operation, status, refusal.err().code(), refusal.err().message())
        }
        // These hold no part of a response, so their text shows nothing of a secret.
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => {
            StoreFault::Unavailable(chain(error))
        }
        SdkError::ResponseError(response) => StoreFault::Garbled(response.raw().status().as_u16()),
        _ => StoreFault::Refused(
            "the request could not be built. Check the function's credentials.".to_owned(),
        ),
    };
    Error::SecretsManager { operation, secret: secret.to_owned(), fault }
}

fn service_fault(
    operation: &str,
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
) -> StoreFault {
    if code.is_none() && message.is_none() && status != TOO_MANY_REQUESTS {
        return StoreFault::Garbled(status);
    }
    let shown = |text: Option<&str>, absent: &str| text.map_or(absent.to_owned(), clean::name);
    let detail = format!("{}: {}", shown(code, "HTTP error"), shown(message, "no message"));
    match (code.unwrap_or_default(), status) {
        (code, _) if CREDENTIALS.contains(&code) => StoreFault::Credentials(detail),
        ("AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation", _)
        | (_, 401 | 403) => {
            // No secret allows this action: it is about all of them.
            if operation == "ListSecrets" {
                return StoreFault::ListDenied(detail);
            }
            StoreFault::AccessDenied { action: format!("secretsmanager:{operation}"), detail }
        }
        ("ResourceNotFoundException", _) => StoreFault::NotFound(detail),
        ("DecryptionFailure" | "EncryptionFailure", _) => StoreFault::Decryption(detail),
        (code, _) if THROTTLED.contains(&code) => StoreFault::Throttled(detail),
        (_, TOO_MANY_REQUESTS) => StoreFault::Throttled(detail),
        (_, 500..) => StoreFault::Unavailable(detail),
        _ => StoreFault::Refused(detail),
    }
}
