import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { ApiError } from "../../src/kube/api.ts";
import { waitForAll, waitUntil } from "../../src/linking/waiting.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";

/** What a wait said, with the second in which it said so. */
class Wait {
  readonly host = new TestHost();
  readonly said: string[] = [];
  readonly stop = new AbortController();
  readonly say = (text: string): void =>
    void this.said.push(`${Math.floor(this.host.clock.elapsedMs() / 1_000)}s ${text.trimEnd()}`);

  until(lacking: (signal: AbortSignal) => Promise<string | undefined>): Promise<void> {
    return this.#running(waitUntil(this.host.clock, lacking, this.say, this.stop.signal));
  }

  all(servers: readonly FakeApiServer[], name: string): Promise<void> {
    const awaited = servers.map((server) => {
      const api = server.connect("admin");
      return { api, where: api.server, namespace: "istio-eastwest", name, conditions: ["Programmed"], address: true };
    });
    const done = ({ where }: { readonly where: string }): void => this.say(`${where} is done`);
    return this.#running(waitForAll(this.host.clock, awaited, done, this.say, this.stop.signal));
  }

  async #running(work: Promise<void>): Promise<void> {
    let done = false;
    const running = work.finally(() => (done = true));
    running.catch(() => {});
    while (!done) await this.host.clock.pass(50);
    return running;
  }
}

test("a wait says what for at once, as it changes, and every ten seconds while it does not", async () => {
  const wait = new Wait();
  const { clock } = wait.host;
  await wait.until(async () => {
    const seconds = clock.elapsedMs() / 1_000;
    return seconds < 25 ? "a has no address" : seconds < 30 ? "b has no address" : undefined;
  });
  const times = wait.said.map((text) => text.split(" ")[0]);
  assert.deepEqual(times, ["0s", "10s", "20s", "25s"]);
  assert.match(wait.said[1]!, /still waiting after 10 s: a has no address/);
  assert.match(wait.said[3]!, /waiting: b has no address/);
});

test("an API server that does not answer is waited for, and one that refuses ends the wait", async () => {
  const wait = new Wait();
  let asked = 0;
  await wait.until(async () => {
    asked += 1;
    if (asked < 3) throw new ApiError("unavailable", "GET /x at https://a got no answer", 0, "");
    return undefined;
  });
  assert.deepEqual(wait.said, ["0s waiting: no answer to go by: GET /x at https://a got no answer"]);
  await assert.rejects(
    wait.until(() => Promise.reject(new ApiError("denied", "you may not get gateways", 403, ""))),
    /may not get gateways/,
  );
});

test("a wait that is ended says what was lacking, also in the middle of a look", async () => {
  const wait = new Wait();
  let looks = 0;
  wait.host.clock.after(6_000, () => wait.stop.abort());
  const lacking = (signal: AbortSignal): Promise<string> => {
    looks += 1;
    if (looks < 5) return Promise.resolve("a is not connected");
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
  };
  await assert.rejects(wait.until(lacking), (thrown: unknown) => {
    assert.ok(thrown instanceof MeshError && thrown.code === "timeout");
    assert.equal(thrown.detail["waitedFor"], "a is not connected");
    return true;
  });
  assert.deepEqual(wait.said, ["0s waiting: a is not connected"]);
});

test("several Gateways are waited for at once, each told as it is done, and those that are left counted", async () => {
  const wait = new Wait();
  const servers = ["east", "west"].map((name) => new FakeApiServer(wait.host.clock, { server: `https://${name}` }));
  const put = (server: FakeApiServer, status: object): void =>
    void server.put({
      ...{ apiVersion: "gateway.networking.k8s.io/v1", kind: "Gateway", status },
      metadata: { namespace: "istio-eastwest", name: "gw" },
    });
  const ready = { conditions: [{ type: "Programmed", status: "True" }], addresses: [{ value: "192.0.2.1" }] };
  put(servers[0]!, ready);
  put(servers[1]!, {});
  wait.host.clock.after(3_500, () => put(servers[1]!, ready));
  await wait.all(servers, "gw");
  assert.match(wait.said[0]!, /^0s https:\/\/east is done/);
  assert.match(
    wait.said[1]!,
    /^0s waiting: 1 of 2 Gateways: Gateway istio-eastwest\/gw of https:\/\/west has no condition/,
  );
  assert.match(wait.said[2]!, /^4s https:\/\/west is done/);
  assert.equal(wait.said.length, 3);
});
