//! What a server may say: of each event a frame with as few fields as may be, and one with all of them.
//!
//! Each struct names all of its fields here, so that the compiler says which one was forgotten.

use serde_json::{Value, json};
use wire::limits::{GROUP_MEMBERS_MAX, GROUPS_MAX, MARKS_MAX};
use wire::{
    Avatar, Code, Coins, Conversation, ConversationId, ConversationUpdated, Cursor, Echo, ErrorDetails, ErrorObject,
    Event, GroupChange, Horizons, Kind, MarkOutcome, Marked, Member, Message, Name, Request, RequestId, Role, SendId,
    SendMessage, Seq, Status, Time, Transaction, TransactionKind, TransactionsList, User, UserId, UserPresence,
    direct_id, error_frame, group_id,
};

/// Every frame.
pub(crate) fn frames() -> Vec<Value> {
    let answers = answers().into_iter().chain(answers_of_groups());
    let answers = answers.map(|event| event.frame(Some(&request_id())));
    let pushes = pushes().into_iter().chain(pushes_of_groups()).map(|event| event.frame(None));
    let frames = answers.chain(pushes).chain(refusals());
    let platform = json!({ "message": "Internal server error", "connectionId": "L0SM9cOFvHcCIhw=", "requestId": "JKJaXmPLvHcESHA=" });
    frames.map(|frame| serde_json::from_slice(&frame).expect("a frame is JSON")).chain([platform]).collect()
}

fn answers() -> Vec<Event> {
    vec![
        Event::Pong { server_time: time(7) },
        Event::SyncPage { conversation_id: here(), messages: vec![message(), answer()], has_more: true, error: None },
        Event::SyncPage { conversation_id: here(), messages: vec![], has_more: false, error: Some(unreadable()) },
        Event::SyncDone { conversations: 1, messages: 2, left: vec![], complete: true },
        Event::SyncDone { conversations: 0, messages: 0, left: vec![in_group()], complete: true },
        Event::ConversationCreated { conversation: Box::new(empty()), created: true },
        Event::ConversationsList { conversations: vec![], total_unread: 0, next_cursor: None, skipped: 0 },
        Event::ConversationsList {
            conversations: vec![conversation()],
            total_unread: 1,
            next_cursor: Some(Cursor::new("1767225600000 d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU")),
            skipped: 1,
        },
        Event::Conversation { conversation: Box::new(conversation()) },
        Event::MessageSent { message: message(), duplicate: false, balance: None },
        Event::MessageSent { message: answer(), duplicate: true, balance: Some(Coins(97)) },
        Event::MessagesPage {
            conversation_id: here(),
            messages: vec![message(), answer(), given_up()],
            has_more: false,
        },
        Event::Marked(Marked::One(horizons())),
        Event::Marked(Marked::Several {
            marks: vec![
                MarkOutcome::Marked(horizons()),
                MarkOutcome::Failed {
                    conversation_id: "d_x".parse().expect("an id"),
                    error: error(Code::NotAParticipant, "there is no such conversation, or you are not in it", None),
                },
            ],
        }),
        Event::Receipts { delivered: vec![bob()], read: vec![], next_cursor: None },
        Event::Receipts { delivered: vec![bob()], read: vec![bob()], next_cursor: Some(Cursor::new("bob")) },
        Event::TypingOk {},
        Event::Presence {
            users: vec![
                UserPresence { user_id: bob(), online: true, last_seen_at: None },
                UserPresence { user_id: ann(), online: false, last_seen_at: Some(time(9)) },
            ],
        },
        Event::Users { users: vec![User { user_id: bob(), name: None, avatar: None }, called()] },
        Event::Profile { user: called() },
        Event::Blocked { user_id: bob() },
        Event::Unblocked { user_id: bob() },
        Event::BlockedList { user_ids: vec![], next_cursor: None },
        Event::BlockedList { user_ids: vec![bob()], next_cursor: Some(Cursor::new("BLOCK#bob")) },
        Event::Muted { conversation_id: here(), muted: true, until: None },
        Event::Muted { conversation_id: here(), muted: true, until: Some(time(7)) },
        Event::Balance { balance: Coins(97) },
        Event::TransactionsList(TransactionsList { transactions: vec![], next_cursor: None, skipped: 0 }),
        Event::TransactionsList(TransactionsList {
            transactions: vec![charge(), top_up()],
            next_cursor: Some(Cursor::new("ENTRY#00000001767225600000#topup#key")),
            skipped: 1,
        }),
    ]
}

fn answers_of_groups() -> Vec<Event> {
    let conversation = Box::new(group());
    vec![
        Event::ConversationCreated { conversation: Box::new(new_group()), created: true },
        Event::Conversation { conversation: conversation.clone() },
        Event::ConversationUpdated(ConversationUpdated::Now { conversation }),
        Event::ConversationLeft { conversation_id: in_group(), by: ann() },
        Event::Members {
            members: vec![Member { user_id: ann(), role: Role::Admin.into(), since: Seq(1) }],
            next_cursor: None,
        },
        Event::Members {
            members: vec![Member { user_id: bob(), role: Role::Member.into(), since: Seq(3) }],
            next_cursor: Some(Cursor::new("bob")),
        },
    ]
}

fn horizons() -> Horizons {
    Horizons { conversation_id: here(), delivered_seq: Seq(2), read_seq: Seq(1) }
}

fn called() -> User {
    User { user_id: ann(), name: name("Ann"), avatar: avatar("https://example.com/ann.png") }
}

fn name(text: &str) -> Option<Name> {
    Name::try_from(text.to_owned()).ok()
}

fn avatar(text: &str) -> Option<Avatar> {
    Avatar::try_from(text.to_owned()).ok()
}

fn pushes() -> Vec<Event> {
    let (conversation_id, user_id) = (here(), bob());
    vec![
        Event::ConversationCreated { conversation: Box::new(empty()), created: true },
        Event::MessageNew { message: message() },
        Event::MessageNew { message: answer() },
        Event::MessageStatus {
            conversation_id: conversation_id.clone(),
            user_id: user_id.clone(),
            status: Status::Read,
            seq: Seq(2),
            at: time(8),
        },
        Event::Typing { conversation_id, user_id, typing: true, expires_at: time(6_000) },
        Event::Profile { user: called() },
        Event::Blocked { user_id: bob() },
        Event::Unblocked { user_id: bob() },
        Event::Muted { conversation_id: here(), muted: false, until: None },
    ]
}

fn pushes_of_groups() -> Vec<Event> {
    let left = GroupChange {
        conversation_id: in_group(),
        name: None,
        avatar: None,
        participant_count: 2,
        added: vec![],
        removed: vec![cat()],
        admins: vec![],
    };
    let all = GroupChange {
        name: name("All"),
        avatar: avatar("https://example.com/all.png"),
        participant_count: 3,
        added: vec![cat()],
        removed: vec![dan()],
        admins: vec![ann(), bob()],
        ..left.clone()
    };
    vec![
        Event::ConversationCreated { conversation: Box::new(as_cat_sees_it()), created: true },
        Event::ConversationUpdated(ConversationUpdated::Changed(left)),
        Event::ConversationUpdated(ConversationUpdated::Changed(all)),
        Event::ConversationLeft { conversation_id: in_group(), by: ann() },
    ]
}

fn refusals() -> Vec<Vec<u8>> {
    let send = Some(SendMessage::ACTION.to_owned());
    let of_send = |client_message_id: Option<&str>| Echo {
        action: send.clone(),
        request_id: client_message_id.map(|_| request_id()),
        client_message_id: client_message_id.map(str::to_owned),
    };
    let of_other = Echo { request_id: Some(request_id()), client_message_id: Some("s1".to_owned()), action: None };
    let of_group = Echo { request_id: Some(request_id()), ..Echo::default() };
    let nothing = ErrorDetails {
        field: None,
        balance: None,
        price: None,
        retry_after_ms: None,
        what: None,
        max: None,
        user_id: None,
        request_id: None,
    };
    let wrong = ErrorDetails { field: Some("seq".to_owned()), ..nothing.clone() };
    let poor = ErrorDetails { balance: Some(Coins(1)), price: Some(Coins(3)), ..nothing.clone() };
    let full = ErrorDetails { max: Some(GROUP_MEMBERS_MAX), ..nothing.clone() };
    let (what, user_id) = (Some("groups of a user".to_owned()), Some(bob()));
    let many = ErrorDetails { what, max: Some(GROUPS_MAX), user_id, ..nothing.clone() };
    let reused = "this clientRequestId was used for another request; take a new one";
    let marks = ErrorDetails { what: Some("marks".to_owned()), max: Some(MARKS_MAX), ..nothing.clone() };
    let fast = ErrorDetails { retry_after_ms: Some(250), ..nothing };
    vec![
        error_frame(&error(Code::ContentEmpty, "content: write something", None), &of_send(None)),
        error_frame(
            &error(Code::InsufficientBalance, "the message costs 3 coins and the balance is 1", Some(poor)),
            &of_send(Some("s1")),
        ),
        error_frame(&error(Code::RateLimited, "too fast; try again in 250 ms", Some(fast)), &of_send(Some("s2"))),
        error_frame(&error(Code::UnknownAction, "there is no action \"fly\"", None), &Echo::default()),
        error_frame(&error(Code::BadRequest, "seq: this field is missing", Some(wrong)), &of_other),
        error_frame(&error(Code::TooMany, "marks: at most 50", Some(marks)), &of_other),
        error_frame(&unreadable(), &of_other),
        error_frame(&error(Code::GroupFull, "a group has 32 people at most", Some(full)), &of_group),
        error_frame(&error(Code::TooMany, "bob has too many groups of a user: 500 at most", Some(many)), &of_group),
        error_frame(&error(Code::ClientRequestIdReused, reused, None), &of_group),
    ]
}

fn error(code: Code, message: &str, details: Option<ErrorDetails>) -> ErrorObject {
    ErrorObject { code: code.into(), message: message.to_owned(), retryable: code.is_retryable(), details }
}

fn unreadable() -> ErrorObject {
    let details = ErrorDetails { request_id: Some("JKJaXmPLvHcESHA=".to_owned()), ..ErrorDetails::default() };
    error(Code::Unavailable, "this can't be read now; try again later", Some(details))
}

fn message() -> Message {
    Message {
        conversation_id: here(),
        seq: Seq(1),
        sender_id: ann(),
        client_message_id: "s1".parse().expect("an id"),
        content: "hello".to_owned(),
        reply_to: None,
        price: Coins(0),
        created_at: time(5),
        status: Status::Sent,
        deleted: false,
    }
}

fn answer() -> Message {
    Message {
        seq: Seq(2),
        client_message_id: "s2".parse().expect("an id"),
        content: "an answer".to_owned(),
        reply_to: Some(Seq(1)),
        price: Coins(3),
        status: Status::Read,
        ..message()
    }
}

fn given_up() -> Message {
    let client_message_id = "s3".parse().expect("an id");
    Message { seq: Seq(3), client_message_id, content: String::new(), deleted: true, ..message() }
}

fn empty() -> Conversation {
    Conversation {
        conversation_id: here(),
        kind: Kind::Direct.into(),
        participants: vec![ann(), bob()],
        participant_count: 2,
        role: None,
        name: None,
        avatar: None,
        created_by: ann(),
        created_at: time(0),
        first_seq: Seq(1),
        last_seq: Seq(0),
        last_message: None,
        last_activity_at: time(0),
        read_seq: Seq(0),
        delivered_seq: Seq(0),
        unread: 0,
        price: Coins(3),
        muted: false,
        muted_until: None,
        blocked: false,
    }
}

fn conversation() -> Conversation {
    Conversation {
        last_seq: Seq(2),
        last_message: Some(answer()),
        last_activity_at: time(5),
        read_seq: Seq(1),
        delivered_seq: Seq(2),
        unread: 1,
        muted: true,
        muted_until: Some(time(7)),
        blocked: true,
        ..empty()
    }
}

/// As its creator sees it.
fn new_group() -> Conversation {
    Conversation {
        conversation_id: in_group(),
        kind: Kind::Group.into(),
        role: Some(Role::Admin.into()),
        name: name("Friends"),
        price: Coins(0),
        ..empty()
    }
}

fn group() -> Conversation {
    Conversation {
        avatar: avatar("https://example.com/all.png"),
        last_seq: Seq(2),
        last_message: Some(Message { conversation_id: in_group(), price: Coins(0), ..answer() }),
        last_activity_at: time(5),
        read_seq: Seq(2),
        delivered_seq: Seq(2),
        ..new_group()
    }
}

/// As it looks to who is added when two things were said: what follows is theirs, too.
fn as_cat_sees_it() -> Conversation {
    Conversation {
        participants: vec![ann(), bob(), cat()],
        participant_count: 3,
        role: Some(Role::Member.into()),
        first_seq: Seq(3),
        last_message: None,
        ..group()
    }
}

fn top_up() -> Transaction {
    Transaction {
        id: "topup#first".to_owned(),
        kind: TransactionKind::Topup.into(),
        amount: 100,
        conversation_id: None,
        counterparty: None,
        created_at: time(0),
    }
}

fn charge() -> Transaction {
    Transaction {
        id: format!("charge#{}", SendId::new(&ann(), &answer().client_message_id).as_str()),
        kind: TransactionKind::Charge.into(),
        amount: -3,
        conversation_id: Some(here()),
        counterparty: Some(bob()),
        created_at: time(5),
    }
}

fn ann() -> UserId {
    "ann".parse().expect("a user id")
}

fn bob() -> UserId {
    "bob".parse().expect("a user id")
}

fn cat() -> UserId {
    "cat".parse().expect("a user id")
}

fn dan() -> UserId {
    "dan".parse().expect("a user id")
}

fn here() -> ConversationId {
    direct_id(&ann(), &bob())
}

fn in_group() -> ConversationId {
    group_id(&ann(), &"g1".parse().expect("an id"))
}

fn request_id() -> RequestId {
    "r1".parse().expect("an id")
}

/// This many milliseconds into the year 2026.
fn time(ms: i64) -> Time {
    Time { ms: 1_767_225_600_000 + ms }
}
