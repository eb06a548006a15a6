//! Whoever runs the functions, as the gateway and the schedules see it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::runtime::{InvokeError, Runtime};

type Answer = BoxFuture<'static, Result<Value, InvokeError>>;

/// Has a function work on an event. Clones are the same.
#[derive(Clone)]
pub struct Invoker(Arc<dyn Fn(String, Value) -> Answer + Send + Sync>);

impl Invoker {
    /// An invoker that calls this closure with the function's name and the event.
    pub fn new<F, A>(invoke: F) -> Self
    where
        F: Fn(String, Value) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Value, InvokeError>> + Send + 'static,
    {
        Self(Arc::new(move |function, event| invoke(function, event).boxed()))
    }

    /// Has the function work on the event, and waits for its answer.
    ///
    /// # Errors
    /// See [`InvokeError`].
    pub async fn invoke(&self, function: &str, event: Value) -> Result<Value, InvokeError> {
        (self.0)(function.to_owned(), event).await
    }
}

impl From<Runtime> for Invoker {
    fn from(runtime: Runtime) -> Self {
        Self::new(move |function, event| {
            let runtime = runtime.clone();
            async move { runtime.invoke(&function, event).await }
        })
    }
}

impl fmt::Debug for Invoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invoker")
    }
}
