// A notification's record, placed on the way page → phone → mail.

import assert from "node:assert/strict";
import { test } from "node:test";
import { chart, describe, isFinal } from "../../../gateway/demo/static/journey.js";

const WAITS = { ack_wait_s: 3, push_wait_s: 4 };
const SHOWN = { route: "live", outcome: "published", time: 100 };
const OFFLINE = { route: "live", outcome: "offline", time: 100 };
const PUSHED = { route: "push", provider: "fcm", address: "bob-ph…", outcome: "accepted", time: 103 };
const BUSY = { route: "push", provider: "fcm", address: "bob-ph…", outcome: "retry", time: 103 };
const GONE = { route: "push", provider: "fcm", address: "bob-ph…", outcome: "unregistered", time: 103 };
const MAILED = { route: "email", provider: "email", address: "b…@example.com", outcome: "accepted", time: 107 };
const ACKED = { route: "live", outcome: "acknowledged", time: 108 };

const places = (state, steps, seenAt) => {
  const { page, phone, mail } = chart({ state, steps }, WAITS, seenAt).stations;
  return [page.state, phone.state, mail.state];
};

for (const [name, state, steps, expected, seenAt] of [
  ["just stored", "pending", [], ["active", "idle", "idle"]],
  ["on the page", "pending", [SHOWN], ["active", "idle", "idle"]],
  ["nobody there", "pending", [OFFLINE], ["skipped", "idle", "idle"]],
  ["on the phone", "pending", [OFFLINE, PUSHED], ["skipped", "active", "idle"]],
  ["on the phone, unanswered on the page", "pending", [SHOWN, PUSHED], ["passed", "active", "idle"]],
  ["push will be tried again", "pending", [OFFLINE, BUSY], ["skipped", "active", "idle"]],
  ["push came through at last", "pending", [OFFLINE, BUSY, PUSHED], ["skipped", "active", "idle"]],
  ["the phone is gone", "pending", [OFFLINE, GONE], ["skipped", "skipped", "idle"]],
  ["one phone of two is gone", "pending", [OFFLINE, GONE, PUSHED], ["skipped", "active", "idle"]],
  ["all the way", "exhausted", [OFFLINE, PUSHED, MAILED], ["skipped", "passed", "active"]],
  ["nothing worked", "failed", [OFFLINE, GONE], ["skipped", "skipped", "idle"]],
  ["seen on the page", "acknowledged", [SHOWN, ACKED], ["seen", "spared", "spared"]],
  ["seen on the phone", "acknowledged", [OFFLINE, PUSHED, ACKED], ["skipped", "seen", "spared"]],
  ["seen on the page when it had gone on", "acknowledged", [SHOWN, PUSHED, ACKED], ["seen", "passed", "spared"], "page"],
  ["seen on the phone after the mail", "acknowledged", [OFFLINE, PUSHED, MAILED, ACKED], ["skipped", "seen", "passed"], "phone"],
  ["taken back", "cancelled", [SHOWN], ["passed", "idle", "idle"]],
])
  test(`stations: ${name}`, () => assert.deepEqual(places(state, steps, seenAt), expected));

test("a wait has its beginning and its length", () => {
  const { page } = chart({ state: "pending", steps: [SHOWN] }, WAITS).stations;
  assert.deepEqual([page.since, page.wait_s], [100, 3]);
  const { phone } = chart({ state: "pending", steps: [OFFLINE, PUSHED] }, WAITS).stations;
  assert.deepEqual([phone.since, phone.wait_s], [103, 4]);
});

test("the sentence says what happens next, with the wait only where it is known", () => {
  const told = (state, steps, waits = WAITS) => chart({ state, steps }, waits).sentence;
  assert.match(told("pending", [SHOWN]), /within 3 s, it goes on to his phone/);
  assert.match(told("pending", [SHOWN], {}), /acknowledge in time/);
  assert.match(told("pending", [OFFLINE, PUSHED]), /straight to his phone.*within 4 s, a mail/);
  assert.match(told("pending", [SHOWN, PUSHED]), /No answer on his page/);
  assert.match(told("exhausted", [OFFLINE, PUSHED, MAILED]), /mail is in his mailbox/);
  assert.match(told("acknowledged", [OFFLINE, PUSHED, ACKED]), /mail is not needed/);
  assert.match(told("failed", [OFFLINE]), /No route could take it/);
});

test("every line of the timeline can be told in words, known or not", () => {
  assert.equal(describe(OFFLINE), "Bob has no open page: no wait");
  assert.equal(describe(PUSHED), "Firebase took it for bob-ph…");
  assert.equal(describe(MAILED), "The mail server took it for b…@example.com");
  assert.equal(describe({ route: "push", outcome: "gave_up", detail: "5 attempts" }), "push: gave up: 5 attempts");
});

test("only pending is not final", () => {
  assert.deepEqual(["pending", "acknowledged", "exhausted", "failed", "expired", "cancelled", undefined].map(isFinal), [false, true, true, true, true, true, false]);
});
