//! Opening a connection before it is needed.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;

/// Makes of a request one that opens a connection and does nothing else: `GET /ping`, which is no operation of either
/// service. So it needs no permission and costs no units, and any answer is good, a refusal too. A real operation is
/// changed into it, rather than a socket opened beside the SDK: so the connection is in the pool, to the very host, and
/// credentials and TLS are set up as the next call finds them.
pub(crate) fn ping(request: &mut HttpRequest) {
    let address = request.uri().to_owned();
    let host_end = address.find("://").and_then(|at| address[at + 3..].find('/').map(|end| at + 3 + end));
    let host = &address[..host_end.unwrap_or(address.len())];
    // What can't be an address stays what it was: nobody needs the answer.
    let _ = request.set_uri(format!("{host}/ping"));
    let _ = request.set_method("GET");
    *request.body_mut() = SdkBody::empty();
    request.headers_mut().remove("content-length");
}
