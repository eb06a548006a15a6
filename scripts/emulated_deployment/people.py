"""What people and operators do there, and what they must see."""

import json

from websockets.exceptions import InvalidMessage, InvalidStatus

from .clients import Operator, Phone
from .progress import Failed, must, until
from .settings import ANSWER_S


def operators(stack):
    """Health, a price, a top-up and its repeat."""
    asks = Operator(stack).asks
    must(asks("GET", "/healthz", roles=None)[0] == 200, "health is for everybody")
    must(asks("GET", "/api/wallets/ann", roles=None)[0] == 401, "nothing else without a token")
    must(asks("GET", "/api/wallets/ann", roles=())[0] == 403, "nothing else without the role")
    must(asks("PUT", "/api/users/bob/price", {"price": 3})[0] == 200, "bob gets a price")
    for attempt in ("a top-up", "its repeat"):
        answer = asks("POST", "/api/wallets/ann/credits", {"amount": 100, "idempotencyKey": "first"})
        must(answer == (200, {"userId": "ann", "balance": 100}), f"{attempt}: {answer}")
    status, page = asks("GET", "/api/wallets/ann/transactions")
    must((status, len(page["transactions"])) == (200, 1), f"one transaction: {page}")


def connecting(stack):
    """A forged token is refused; Ann, Bob and Carol connect."""
    try:
        Phone(stack, "ann", secret="not the stack's secret, which is longer")
        raise Failed("a forged token connects")
    except (InvalidMessage, InvalidStatus):
        pass
    phones = [Phone(stack, user) for user in ("ann", "bob", "carol")]
    for phone in phones:
        must(phone.asks("sync:done", action="sync")["complete"], "sync is complete")
    return phones


def free_message(ann, carol):
    created = ann.asks("conversation:created", action="getOrCreateDirect", otherUserId="carol")["conversation"]
    message = {"conversationId": created["conversationId"], "content": "hi", "clientMessageId": "a"}
    sent = ann.asks("message:sent", action="sendMessage", **message)
    must(sent["message"]["price"] == 0, f"free: {sent}")
    must(carol.hears("message:new")["message"]["content"] == "hi", "carol hears it")


def paid_message(ann, bob):
    """Sent twice, paid once. Gives its conversation."""
    for duplicate in (False, True):
        sent = ann.asks("message:sent", action="sendMessage", to="bob", content="paid", clientMessageId="b")
        must((sent["message"]["seq"], sent["duplicate"]) == (1, duplicate), f"the same message: {sent}")
    must(ann.asks("balance", action="getBalance")["balance"] == 97, "ann has paid once")
    paid = bob.hears("message:new")["message"]
    must((paid["content"], paid["price"]) == ("paid", 3), f"bob hears it: {paid}")
    must(bob.asks("balance", action="getBalance")["balance"] == 3, "bob has earned it")
    must(len(bob.asks("transactions:list", action="getTransactions")["transactions"]) == 1, "in his ledger")
    return paid["conversationId"]


def reading(ann, bob, conversation):
    """What has been said is read."""
    for action in ("markDelivered", "markRead"):
        bob.asks("marked", action=action, conversationId=conversation, seq=1)
    ann.hears("message:status")
    receipts = ann.asks("receipts", action="getReceipts", conversationId=conversation, seq=1)
    must(receipts["read"] == ["bob"], "bob has read it")
    page = ann.asks("messages:page", action="getMessages", conversationId=conversation)
    must(len(page["messages"]) == 1, "one message")
    listed = ann.asks("conversations:list", action="getConversations")
    must(len(listed["conversations"]) == 2, "two conversations")
    ann.asks("conversation", action="getConversation", conversationId=conversation)
    ann.asks("typing:ok", action="typing", conversationId=conversation, typing=True)
    bob.hears("typing")
    must(ann.asks("presence", action="getPresence", userIds=["bob"])["users"][0]["online"], "bob is online")
    must(ann.asks("users", action="getUsers", userIds=["bob"])["users"], "bob has a name, or an id")
    ann.asks("pong", action="ping")
    must(ann.asks("error", action="no such action")["code"] == "unknown_action", "what is unknown is said so")


def group(ann, bob, carol):
    """Ann makes one with Bob, and adds Carol, who leaves."""
    made = ann.asks("conversation:created", action="createGroup", name="Friends", participants=["bob"], clientRequestId="g1")
    conversation = made["conversation"]["conversationId"]
    told = lambda frame: frame["event"] == "conversation:created" and frame["data"]["conversation"]["conversationId"] == conversation
    bob.waits_for("bob is told", told)
    ann.asks("conversation:updated", action="updateGroup", conversationId=conversation, add=["carol"])
    sent = carol.asks("message:sent", action="sendMessage", conversationId=conversation, content="hi all", clientMessageId="g")
    must((sent["message"]["seq"], sent["message"]["price"]) == (1, 0), f"free, in a group: {sent}")
    must(bob.hears("message:new")["message"]["content"] == "hi all", "bob hears it")
    for phone in (ann, bob):
        phone.asks("marked", action="markRead", conversationId=conversation, seq=1)
    members = ann.asks("members", action="getMembers", conversationId=conversation)["members"]
    must([it["userId"] for it in members] == ["ann", "bob", "carol"], f"three are in: {members}")
    carol.asks("conversation:left", action="leaveGroup", conversationId=conversation)


def people(stack):
    """Ann, Bob and Carol talk."""
    ann, bob, carol = connecting(stack)
    free_message(ann, carol)
    conversation = paid_message(ann, bob)
    reading(ann, bob, conversation)
    group(ann, bob, carol)
    return ann, bob, conversation


def queue(stack, bob, conversation):
    """A push that failed, left in the queue as `send` does it."""
    connection = until("bob's connection", ANSWER_S, lambda: stack.connections("bob"))[0]
    push = {"user": "bob", "connection": connection, "conversation": conversation, "seq": 1, "correlationId": "push"}
    stack.aws("sqs").send_message(QueueUrl=stack.resources()["Queue"], MessageBody=json.dumps(push))
    must(bob.hears("message:new")["message"]["seq"] == 1, "bob hears it again")


def offline(stack, ann, bob):
    """Bob leaves; what is sent then waits for him."""
    asks = Operator(stack).asks
    bob.leaves()
    until("bob's connection is gone", ANSWER_S, lambda: not stack.connections("bob"))
    ann.asks("message:sent", action="sendMessage", to="bob", content="later", clientMessageId="c")
    waiting = asks("GET", "/api/messages/buffered/bob")[1]
    must(waiting["undelivered"] == 1, f"it waits for bob: {waiting}")
    stats = asks("GET", "/api/messages/buffer-stats")[1]
    must((stats["undelivered"], stats["usersWaiting"]) == (2, 2), f"for bob and carol: {stats}")
    bob = Phone(stack, "bob")
    must(bob.asks("sync:done", action="sync")["messages"] == 1, "sync brings it")
    must(bob.hears("sync:page")["messages"][0]["content"] == "later", "and nothing else")
    must(asks("DELETE", "/api/messages/buffered/bob")[1] == {"cleared": 1}, "and it is cleared")


def refused(stack, ann):
    """Without dynamodb:UpdateItem `send` can't claim: that is refused, and nothing else."""
    answer = ann.asks("message:error", action="sendMessage", to="bob", content="now", clientMessageId="d")
    must(answer["retryable"], f"to be repeated: {answer}")
    # The line comes after the answer.
    failed = lambda: [it.get("cause", "") for it in stack.requests("send") if it["outcome"] == "failed"]
    causes = until("send says why", ANSWER_S, failed)
    must(all("AccessDenied" in it and "UpdateItem" in it for it in causes), f"send says why: {causes}")
    must(ann.asks("balance", action="getBalance")["balance"] == 94, "it has cost nothing, and the wallet works")
    ann.asks("conversations:list", action="getConversations")


def restored(ann):
    """The same attempt, repeated, is the message after all."""
    sent = ann.asks("message:sent", action="sendMessage", to="bob", content="now", clientMessageId="d")
    must((sent["message"]["seq"], sent["duplicate"], sent["balance"]) == (3, False, 91), f"sent at last: {sent}")


def every_action(ann, table):
    """Ann asks all that the table of actions has: a function that was forgotten, or lacks a permission, refuses it."""
    for action in table:
        for frame in action["frames"]:
            ann.asks(action["answer"], **frame)
