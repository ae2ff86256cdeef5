//! Asking the kernel by netlink, each question with a time limit.

use std::future::Future;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::{Handle, new_connection};

use super::{NetError, Netns};

/// The kernel answers at once; a reply the library cannot read never comes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The kernel's error number, positive.
    Errno(i32),
    /// Nothing came in time, or the connection is gone.
    Silent,
}

impl Refused {
    pub(super) fn is(&self, errno: rustix::io::Errno) -> bool {
        *self == Refused::Errno(errno.raw_os_error())
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Errno(n) => std::io::Error::from_raw_os_error(*n).fmt(f),
            Refused::Silent => write!(f, "no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

/// A runtime of the calling thread alone.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

/// Opens a connection in the namespace, asks with it, closes it.
pub(super) fn ask<R: Send, F: Future<Output = Result<R, NetError>>>(
    netns: &Netns,
    what: &str,
    question: impl FnOnce(Handle) -> F + Send,
) -> Result<R, NetError> {
    let failed = |e: std::io::Error| kernel(netns, what, e);
    netns.run(|| {
        runtime().map_err(failed)?.block_on(async {
            let (connection, handle, _) = new_connection().map_err(failed)?;
            let connection = tokio::spawn(connection);
            let answer = question(handle).await;
            connection.abort();
            answer
        })
    })?
}

pub(super) fn kernel(netns: &Netns, what: impl ToString, why: impl ToString) -> NetError {
    NetError::Kernel { netns: netns.clone(), what: what.to_string(), why: why.to_string() }
}

/// The one answer to a question; `None` if the kernel only acknowledged it.
pub(super) async fn one(
    handle: &Handle,
    question: RouteNetlinkMessage,
    flags: u16,
) -> Result<Option<RouteNetlinkMessage>, Refused> {
    all(handle, question, flags).await.map(|l| l.into_iter().next())
}

/// All answers to a question.
pub(super) async fn all(
    handle: &Handle,
    question: RouteNetlinkMessage,
    flags: u16,
) -> Result<Vec<RouteNetlinkMessage>, Refused> {
    let mut message = NetlinkMessage::from(question);
    message.header.flags = rtnetlink::packet_core::NLM_F_REQUEST | flags;
    let answers = handle.clone().request(message).map_err(|_| Refused::Silent)?;
    tokio::time::timeout(PATIENCE, collect(answers)).await.unwrap_or(Err(Refused::Silent))
}

async fn collect(
    answers: impl Stream<Item = NetlinkMessage<RouteNetlinkMessage>>,
) -> Result<Vec<RouteNetlinkMessage>, Refused> {
    let mut out = Vec::new();
    let mut answers = std::pin::pin!(answers);
    while let Some(message) = answers.next().await {
        match message.payload {
            NetlinkPayload::InnerMessage(m) => out.push(m),
            NetlinkPayload::Error(e) if e.code.is_some() => return Err(Refused::Errno(-e.raw_code())),
            _ => {}
        }
    }
    Ok(out)
}
