//! The send protocol and settling, explored exhaustively: what docs/design/guarantees.md and docs/design/coins.md say of
//! them is tried in every order of requests that a few processes can have.
//!
//! A state is the table and where each process is. A step is one request to the store, a read or a conditional write, with
//! what its caller decides from the answer. Every order of steps is tried. The steps have the names of the code, file by file:
//!
//! | here | stands for |
//! |---|---|
//! | `store` | `shared::store`: the items |
//! | `write` | `shared::store`: each conditional write with its condition |
//! | `step` | where a process can be |
//! | `send` | `shared::chat::send` (look, decide, publish, effects) and `functions/send` |
//! | `drop` | `shared::chat::send`: how what is finished is dropped |
//! | `sweep` | `functions/sweep`; the top-up, the archive |
//! | `rest` | how a conversation leaves the index: `look_again` in `functions/cleanup` |
//! | `settle` | `settle` in `shared::store::ledger` |
//! | `check` | what must hold: at every step, and once the world is quiet |
//! | `configurations` | who takes part |
//! | `mutants` | the same without one guard, or in another order: each must be caught |
//!
//! [`search`](super::search) explores it.
//!
//! What can go wrong, and where it is here:
//! - **A process dies** anywhere: it is one that never takes its next step. In every state the world is also brought to its
//!   end with everybody dead, only the sweep and settlers coming, and must then be quiet and correct.
//! - **A reply is lost**, and the caller sees an error: to the table that is a death after the write. Its client's next try is
//!   another attempt.
//! - **The SDK repeats a request**: the first is on its way while the repeat is answered. It arrives before the repeat, whose
//!   caller then meets its own effect; or after it; or long after everything, as the last write of one thought dead.
//! - **A process pauses** for however long and goes on with what it has read: no step has a time.
//! - **Reads of many items** (a range of the log, RECEIPTs, entries) are no snapshots: each item is read at its own moment.
//! - **The index** of unsettled entries proposes anything, where a configuration says so.
//! - **What a process knows** of RECEIPTs, its own past decides: a claim drops nothing, or all other sends that its look saw
//!   open and that have the RECEIPT of a message by the time of the claim.
//! - **The version before** runs beside, where a configuration says so, or has written the account: it always reads RECEIPT,
//!   drops in no claim, and its drops say nothing of `dropped_upto`.
//!
//! Whether a send's id sorts by time is up to the configuration; among those of one sender the order of the numbers is that
//! of time. That `dropped_upto` is true wherever its epoch is the account's is held at each step, but only of the model
//! without a mutant: a mutant is to show what harm comes of it.
//!
//! What is left out: the rate limit, permissions, creating ACCOUNT; presence and pushes; of inboxes all but how far they are
//! told, where a conversation may rest; the `charge` lines of the ledger, which no balance depends on; pages of a walk, of
//! which only the last number matters; sizes; that a claim knows of some RECEIPTs and not of others. An attempt drops whenever
//! it has finished, not at every fourth open send: one that doesn't is one that has died. The sweep takes every send for old
//! enough.
//!
//! The small configurations and all mutants run with `cargo test -p tests --test model`; the large ones with
//! `cargo run -p tests --release --bin model`.

mod check;
mod configurations;
mod drop;
mod mutants;
mod rest;
mod send;
mod settle;
mod state;
mod step;
mod store;
mod sweep;
mod write;

pub use configurations::{Configuration, configurations};
pub use mutants::Mutant;
pub use state::explore;
