//! A network between one device and the machine, which can be slow, lose what comes one way, and cut.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The longest that a slow network holds something back.
const SLOW_MAX: Duration = Duration::from_millis(150);

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// It carries everything at once.
    Fair,
    /// It carries everything, late.
    Slow,
    /// What the machine says is lost, until the connection is cut.
    Deaf,
    /// What the device says is lost, until the connection is cut.
    Mute,
}

/// The weather, and how often all connections were cut.
#[derive(Clone, Copy, Debug)]
struct Now {
    weather: Weather,
    cuts: u64,
}

/// One device's network. It ends with this.
pub(crate) struct Proxy {
    /// Where the device finds the machine.
    pub(crate) address: String,
    now: watch::Sender<Now>,
    _carrying: JoinSet<()>,
}

impl Proxy {
    /// A network to this address, as `ADDRESS:PORT`.
    pub(crate) async fn start(machine: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (now, seen) = watch::channel(Now { weather: Weather::Fair, cuts: 0 });
        let mut carrying = JoinSet::new();
        carrying.spawn(accept(listener, machine.to_owned(), seen));
        Ok(Self { address, now, _carrying: carrying })
    }

    /// From now on it is so. What was lost can't come any more: a connection that has lost something is cut first.
    pub(crate) fn turns(&self, weather: Weather) {
        self.now.send_modify(|now| {
            now.cuts += u64::from(matches!(now.weather, Weather::Deaf | Weather::Mute) && now.weather != weather);
            now.weather = weather;
        });
    }

    /// Cuts every connection.
    pub(crate) fn cuts(&self) {
        self.now.send_modify(|now| now.cuts += 1);
    }
}

async fn accept(listener: TcpListener, machine: String, now: watch::Receiver<Now>) {
    let mut connections = JoinSet::new();
    while let Ok((device, _)) = listener.accept().await {
        connections.spawn(connect(device, machine.clone(), now.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Carries one connection until an end closes it or it is cut: then both ends are closed.
async fn connect(device: TcpStream, machine: String, now: watch::Receiver<Now>) {
    let Ok(machine) = TcpStream::connect(machine).await else { return };
    let (from_device, to_device) = device.into_split();
    let (from_machine, to_machine) = machine.into_split();
    tokio::select! {
        () = carry(from_device, to_machine, Weather::Mute, now.clone()) => {}
        () = carry(from_machine, to_device, Weather::Deaf, now) => {}
    }
}

/// Carries one way, which this weather loses.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    lost_in: Weather,
    mut now: watch::Receiver<Now>,
) {
    let cuts = now.borrow_and_update().cuts;
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = tokio::select! {
            changed = now.changed() => match changed {
                Ok(()) if now.borrow_and_update().cuts == cuts => continue,
                _ => return,
            },
            count = from.read(&mut bytes) => count,
        };
        let Some(count) = count.ok().filter(|count| *count > 0) else { return };
        let weather = now.borrow().weather;
        if weather == lost_in {
            continue;
        }
        if weather == Weather::Slow {
            sleep(SLOW_MAX.mul_f64(fastrand::f64())).await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
