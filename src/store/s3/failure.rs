//! Why S3 did not do what was asked, in words that say the way out.
//!
//! Owns what each refusal means for an operator: which permission is missing, which key of the configuration to look
//! at. Never repeats a URL, a header or a body of a request: those may hold credentials.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use http::StatusCode;
use object_store::client::{HttpError, HttpErrorKind};

use super::transport::{Answer, Trace};
use crate::store::StoreError;

/// A step, as messages name it, and the permission that it needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) action: &'static str,
    permission: &'static str,
}

impl Step {
    const fn new(action: &'static str, permission: &'static str) -> Self {
        Self { action, permission }
    }
}

/// Without the right to list, S3 answers 403 instead of 404 for what is not there.
const READ: &str = "`s3:GetObject`, and `s3:ListBucket` to be told what is not there";

pub(super) const STAT: Step = Step::new("look up", READ);
pub(super) const OPEN: Step = Step::new("open", READ);
pub(super) const READ_OBJECT: Step = Step::new("read", READ);
pub(super) const CREATE: Step = Step::new("create", "`s3:PutObject`");
pub(super) const REPLACE: Step = Step::new("replace", "`s3:PutObject`");
pub(super) const UPLOAD: Step = Step::new("upload", "`s3:PutObject`");
pub(super) const RESUME: Step = Step::new("resume the upload of", "`s3:ListMultipartUploadParts`");
pub(super) const ABORT: Step = Step::new("abort the upload of", "`s3:AbortMultipartUpload`");
pub(super) const LIST: Step = Step::new("list", "`s3:ListBucket`");
pub(super) const LIST_UPLOADS: Step =
    Step::new("list the uploads of", "`s3:ListBucketMultipartUploads`");
pub(super) const REMOVE: Step = Step::new("remove", "`s3:DeleteObject`");
pub(super) const RESERVE: Step = Step::new(
    "reserve",
    "`s3:GetObject`, `s3:PutObject` and `s3:DeleteObject`",
);
pub(super) const PROBE: Step = Step::new("read", "`s3:ListBucket`");

/// Why a request failed: an answer, or what kept it from coming.
#[derive(Debug)]
pub(super) enum Cause {
    /// S3 refused.
    Refused(Answer),
    /// There was no answer, or none that could be used.
    Broken(Box<dyn Error + Send + Sync>),
}

impl Cause {
    /// What `object_store` reports, made precise by what was seen on the way.
    pub(super) fn of(error: object_store::Error, trace: &Trace) -> Self {
        match trace.answer() {
            Some(answer) => Self::Refused(answer),
            None => Self::Broken(error.into()),
        }
    }

    pub(super) fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Refused(answer) => Some(answer),
            Self::Broken(_) => None,
        }
    }

    pub(super) fn status(&self) -> Option<StatusCode> {
        self.answer().map(|answer| answer.status)
    }

    pub(super) fn code(&self) -> &str {
        self.answer()
            .and_then(|answer| answer.code.as_deref())
            .unwrap_or_default()
    }

    /// Whether another attempt may go better.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Broken(error) => transport_kind(&**error).is_some(),
            Self::Refused(answer) => {
                answer.status.is_server_error()
                    || matches!(
                        answer.status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                    )
                    || matches!(
                        self.code(),
                        "RequestTimeout" | "SlowDown" | "InternalError" | "OperationAborted"
                    )
            }
        }
    }

    /// The error of a step on `subject` in `bucket`.
    pub(super) fn into_error(self, step: Step, subject: &str, bucket: &str) -> StoreError {
        let kind = self.kind();
        let failure = Failure {
            way_out: self.way_out(step, bucket),
            cause: self,
        };
        StoreError::new(step.action, subject, io::Error::new(kind, failure))
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(answer) => match answer.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::PermissionDenied,
                StatusCode::NOT_FOUND => ErrorKind::NotFound,
                StatusCode::PRECONDITION_FAILED => ErrorKind::StaleNetworkFileHandle,
                status if status.is_server_error() => ErrorKind::ResourceBusy,
                _ => ErrorKind::Other,
            },
            Self::Broken(error) => match transport_kind(&**error) {
                Some(HttpErrorKind::Connect) => ErrorKind::ConnectionRefused,
                Some(HttpErrorKind::Timeout) => ErrorKind::TimedOut,
                Some(_) => ErrorKind::ConnectionReset,
                None => ErrorKind::Other,
            },
        }
    }

    fn way_out(&self, step: Step, bucket: &str) -> Option<String> {
        let permission = step.permission;
        let advice = match (self.code(), self.status()) {
            ("NoSuchBucket", _) => {
                format!("there is no bucket `{bucket}`; `aws s3 mb s3://{bucket}` makes it")
            }
            ("ExpiredToken" | "TokenRefreshRequired", _) => {
                "the credentials have expired; renew them (`aws sso login`, or a new session token)"
                    .to_owned()
            }
            ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken", _) => {
                "the server does not accept these credentials; check the access key, its secret and the session token"
                    .to_owned()
            }
            ("RequestTimeTooSkewed", _) => {
                "this machine's clock is wrong by more than 15 minutes; set it".to_owned()
            }
            ("AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException", _)
            | (_, Some(StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT)) => {
                format!("bucket `{bucket}` is in another region; set `store.region` to it")
            }
            (_, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                format!("the credentials need {permission} on `{bucket}`")
            }
            (_, Some(StatusCode::NOT_FOUND)) => {
                format!("check that bucket `{bucket}` exists: `aws s3 ls s3://{bucket}`")
            }
            (_, Some(status)) if status.is_server_error() => {
                "S3 asks for patience; try again later".to_owned()
            }
            (_, None) => match self.kind() {
                ErrorKind::ConnectionRefused => {
                    "check `store.endpoint_url` and `store.region`, and the way there".to_owned()
                }
                ErrorKind::TimedOut => "check the way there, or raise `store.request_timeout`".to_owned(),
                _ => return None,
            },
            _ => return None,
        };
        Some(advice)
    }
}

/// What went wrong below HTTP, if that is where it did.
fn transport_kind(error: &(dyn Error + 'static)) -> Option<HttpErrorKind> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        current = error.source();
    }
    None
}

/// The source of a [`StoreError`]: what S3 said and what to do.
#[derive(Debug)]
struct Failure {
    cause: Cause,
    way_out: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Refused(answer) => {
                write!(f, "S3 answered {}", answer.status.as_u16())?;
                if let Some(code) = &answer.code {
                    write!(f, " {code}")?;
                }
                if let Some(id) = &answer.request_id {
                    write!(f, " (request {id})")?;
                }
            }
            Cause::Broken(error) => f.write_str(&innermost(&**error))?,
        }
        match &self.way_out {
            Some(way_out) => write!(f, "; {way_out}"),
            None => Ok(()),
        }
    }
}

/// The words of the last error of the chain: those before it name URLs and say "error" in many ways.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The chain ends here: the causes are in the words.
impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str) -> String {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            code: (!code.is_empty()).then(|| code.to_owned()),
            request_id: Some("8F3".to_owned()),
        };
        let error = Cause::Refused(answer).into_error(CREATE, "s3://b/k", "b");
        format!("{error}: {}", error.source)
    }

    #[test]
    fn a_refusal_names_object_code_request_and_the_way_out() {
        assert_eq!(
            refusal(403, "AccessDenied"),
            "cannot create `s3://b/k`: S3 answered 403 AccessDenied (request 8F3); the credentials need \
             `s3:PutObject` on `b`"
        );
        assert!(refusal(404, "NoSuchBucket").ends_with("`aws s3 mb s3://b` makes it"));
        assert!(refusal(400, "ExpiredToken").contains("renew them"));
        assert!(refusal(301, "").contains("`store.region`"));
        assert!(refusal(503, "SlowDown").contains("patience"));
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let refused = |status: u16, code: &str| {
            Cause::Refused(Answer {
                status: StatusCode::from_u16(status).unwrap(),
                code: Some(code.to_owned()),
                request_id: None,
            })
        };
        assert!(refused(503, "SlowDown").is_transient());
        assert!(refused(500, "InternalError").is_transient());
        assert!(refused(409, "OperationAborted").is_transient());
        assert!(refused(400, "RequestTimeout").is_transient());
        assert!(!refused(403, "AccessDenied").is_transient());
        assert!(!refused(412, "PreconditionFailed").is_transient());
    }
}
