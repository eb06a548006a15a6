//! Secrets Manager for the functions of this machine: it answers `GetSecretValue` for the one secret that they have.
//!
//! So the functions fetch the secret here as they do on AWS, and it is in no process's environment. The service listens
//! on loopback, at a path that nobody can guess and only the functions that check tokens are told.

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ids;
use crate::server::Server;
use crate::template::SECRET_ARN;

/// The header that names an operation, and the one that is served.
const TARGET: (&str, &str) = ("x-amz-target", "secretsmanager.GetSecretValue");
/// The label of a secret's newest version. Here it has no other.
const CURRENT: &str = "AWSCURRENT";

/// The running service. It ends when this is dropped.
#[derive(Debug)]
pub struct SecretsManager {
    server: Server,
    path: String,
}

struct Kept {
    path: String,
    secret: String,
}

/// What `GetSecretValue` asks for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    secret_id: String,
    version_stage: Option<String>,
}

impl SecretsManager {
    /// Starts it, with this secret.
    ///
    /// # Errors
    /// Loopback has no free port.
    pub async fn start(secret: String) -> io::Result<Self> {
        let path = format!("/{}", ids::secret());
        let kept = Arc::new(Kept { path: path.clone(), secret });
        let server = Server::start(Router::new().fallback(answer).with_state(kept)).await?;
        Ok(Self { server, path })
    }

    /// Where an AWS client finds it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.server.endpoint(), self.path)
    }
}

async fn answer(
    State(kept): State<Arc<Kept>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let refused = |kind: &str| Err((StatusCode::BAD_REQUEST, Json(json!({ "__type": kind }))));
    if uri.path().trim_end_matches('/') != kept.path {
        return refused("AccessDeniedException");
    }
    if headers.get(TARGET.0).is_none_or(|target| target != TARGET.1) {
        return refused("UnknownOperationException");
    }
    let Ok(request) = serde_json::from_slice::<Request>(&body) else { return refused("InvalidRequestException") };
    if request.secret_id != SECRET_ARN || request.version_stage.is_some_and(|stage| stage != CURRENT) {
        return refused("ResourceNotFoundException");
    }
    Ok(Json(json!({ "ARN": SECRET_ARN, "SecretString": kept.secret, "VersionStages": [CURRENT] })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server;

    /// What it answers to this body at this path.
    async fn asks(service: &SecretsManager, path: &str, body: &str) -> String {
        let header = format!("x-amz-target: {}\r\n", TARGET.1);
        server::asks(service.server.address, &format!("POST {path}"), &header, body).await
    }

    #[tokio::test]
    async fn only_who_knows_the_path_gets_the_secret() {
        let service = SecretsManager::start("the secret".to_owned()).await.expect("starts");
        let path = service.path.as_str();
        let request = json!({ "SecretId": SECRET_ARN, "VersionStage": CURRENT }).to_string();
        assert!(asks(&service, &format!("{path}/"), &request).await.contains("the secret"));
        for wrong in ["/", "/secret", &format!("{path}x")] {
            let answer = asks(&service, wrong, &request).await;
            assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains("the secret"), "{wrong}: {answer}");
        }
        let previous = json!({ "SecretId": SECRET_ARN, "VersionStage": "AWSPREVIOUS" }).to_string();
        assert!(asks(&service, path, &previous).await.contains("ResourceNotFoundException"));
    }
}
