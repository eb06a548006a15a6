//! One message's way, a file a step: [`look`], [`decide`], [`publish`], [`effects`], [`drop`](mod@drop).
//!
//! One conditional write decides (step 2), one gives the number (step 3); all that follows may be repeated by anybody, any
//! number of times: by the client's retry, by the sweep, by a process that was thought dead. Why this is safe stands in
//! docs/design/guarantees.md.

pub mod decide;
pub mod drop;
pub mod effects;
pub mod look;
pub mod publish;

use wire::{
    ClientMessageId, Coins, Content, ConversationId, Fingerprint, Message, SendId, SendMessage, Seq, Status, Target,
    Time, UserId, direct_id,
};

use crate::error::Error;
use crate::store::accounts::OpenSend;
use crate::store::conversations::Meta;
use crate::store::log::LogItem;
use crate::store::receipts::Receipt;

/// One attempt to send a message: what the client asked, checked.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who sends.
    pub sender: UserId,
    /// The send's id.
    pub id: SendId,
    /// The sender's id of it.
    pub client_message_id: ClientMessageId,
    /// Where it goes.
    pub conversation: ConversationId,
    /// To whom, when the client named a person: the conversation is made when there is none.
    pub to: Option<UserId>,
    /// What it says.
    pub content: Content,
    /// The number of the message that it answers.
    pub reply_to: Option<Seq>,
    /// What it may cost at most.
    pub max_price: Option<Coins>,
    /// What it says, hashed.
    pub fingerprint: Fingerprint,
}

impl Attempt {
    /// From a request.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::SelfConversation`].
    pub fn new(sender: &UserId, request: SendMessage) -> Result<Self, Error> {
        let (conversation, to) = match request.target()? {
            Target::Conversation(id) => (id, None),
            Target::User(to) if to == *sender => return Err(Error::SelfConversation),
            Target::User(to) => (direct_id(sender, &to), Some(to)),
        };
        let content = Content::new(request.content)?;
        if request.reply_to == Some(Seq(0)) {
            return Err(Error::bad_request("replyTo", "messages are numbered from 1"));
        }
        let fingerprint = Fingerprint::new(&conversation, content.as_str(), request.reply_to);
        Ok(Self {
            sender: sender.clone(),
            id: SendId::new(sender, &request.client_message_id),
            client_message_id: request.client_message_id,
            conversation,
            to,
            content,
            reply_to: request.reply_to,
            max_price: request.max_price,
            fingerprint,
        })
    }

    /// The message as a client sees it, once it has its number.
    pub fn message(&self, seq: Seq, price: Coins, created_at: Time) -> Message {
        Message {
            conversation_id: self.conversation.clone(),
            seq,
            sender_id: self.sender.clone(),
            client_message_id: self.client_message_id.clone(),
            content: self.content.as_str().to_owned(),
            reply_to: self.reply_to,
            price,
            created_at,
            status: Status::Sent,
            deleted: false,
        }
    }
}

/// A send that was decided: all that its further steps need but the content.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Who sends.
    pub sender: UserId,
    /// The send's id.
    pub id: SendId,
    /// What was recorded: base, amounts, time. Nobody computes them again.
    pub send: OpenSend,
    /// Where it goes.
    pub meta: Meta,
}

impl Decided {
    /// What is published when the content is known.
    pub fn log_item(&self, attempt: &Attempt) -> LogItem {
        let content = attempt.content.as_str().to_owned();
        LogItem { content, reply_to: attempt.reply_to, void: false, ..self.void_item() }
    }

    /// What is published when the send is given up.
    pub fn void_item(&self) -> LogItem {
        LogItem {
            sender: self.sender.clone(),
            sid: self.id.clone(),
            client_message_id: self.send.client_message_id.clone(),
            content: String::new(),
            reply_to: None,
            price: self.send.price,
            created_at: self.send.claimed_at,
            void: true,
        }
    }

    /// The end of this send, in slot SEQ.
    pub fn receipt(&self, seq: Seq, void: bool) -> Receipt {
        Receipt {
            client_message_id: self.send.client_message_id.clone(),
            fingerprint: self.send.fingerprint.clone(),
            conversation: self.send.conversation.clone(),
            seq,
            price: self.send.price,
            created_at: self.send.claimed_at,
            void,
        }
    }
}
