import assert from "node:assert/strict";
import { test } from "mocha";
import { ApiError, type KubeApi, type WatchEvent } from "../../src/kube/api.ts";
import type { ClusterConnection } from "../../src/kube/connection.ts";
import { HttpKubeApi } from "../../src/kube/http-api.ts";
import type { KubeLimits } from "../../src/kube/limits.ts";
import { type Answer, answerJson, type KubeServer, kubeServer, type ServerShape } from "../kits/kube-server.ts";
import { realHost } from "../kits/real-host.ts";
import { until } from "../kits/until.ts";
import { TestAuthority } from "../kits/tls.ts";

const authority = await TestAuthority.create();
const stranger = await TestAuthority.create("CN=stranger");
const PROTOCOLS = ["h2", "http/1.1", "http"] as const;

interface Asking extends AsyncDisposable {
  readonly server: KubeServer;
  readonly api: KubeApi;
}

/** A server that answers so, and our way to it. */
async function asking(
  answer: Answer,
  shape: ServerShape & { readonly limits?: Partial<KubeLimits>; readonly over?: Partial<ClusterConnection> } = {},
): Promise<Asking> {
  const server = await kubeServer(authority, answer, shape);
  const api = new HttpKubeApi(realHost(), server.connection(shape.over), shape.limits);
  return {
    server,
    api,
    async [Symbol.asyncDispose]() {
      await api.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

const get = (api: KubeApi, path = "/api/v1/pods?limit=500"): Promise<unknown> => api.call({ method: "GET", path });

async function failureOf(promise: Promise<unknown>): Promise<ApiError> {
  const thrown: unknown = await promise.then(
    () => assert.fail("it did not fail"),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof ApiError, String(thrown));
  return thrown;
}

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

/** A watch, recorded until it ends. */
function watched(api: KubeApi, path = "/api/v1/pods?watch=true") {
  const events: WatchEvent[] = [];
  const opened = deferred<void>();
  const ended = deferred<ApiError | undefined>();
  api.watch(path, {
    onOpen: () => opened.resolve(),
    onEvent: (event) => events.push(event),
    onEnd: (error) => ended.resolve(error),
  });
  return { events, opened: opened.promise, ended: ended.promise };
}

for (const protocol of PROTOCOLS) {
  test(`a call over ${protocol} sends what it is told, and comes back parsed`, async () => {
    const echo: Answer = ({ method, url, headers }, response, body) =>
      answerJson(response, 200, { method, url, type: headers["content-type"], agent: headers["user-agent"], body });
    await using asked = await asking(echo, { protocol });
    const request = { method: "PATCH", path: "/api/v1/pods?force=true", body: { a: "ü" } } as const;
    assert.deepEqual(await asked.api.call({ ...request, contentType: "application/apply-patch+yaml" }), {
      method: "PATCH",
      url: "/api/v1/pods?force=true",
      type: "application/apply-patch+yaml",
      agent: "causeway/0.1.0",
      body: '{"a":"ü"}',
    });
  });

  test(`a watch over ${protocol} passes events as they come, however they are cut, and the end`, async () => {
    await using asked = await asking(
      (_, response) => {
        response.write('{"type":"ADDED","object":{"n":1}}\n{"type":"MODI');
        setImmediate(() => response.end('FIED","object":{"n":"ü"}}\n'));
      },
      { protocol },
    );
    const { events, ended } = watched(asked.api);
    assert.equal(await ended, undefined);
    assert.deepEqual(events, [
      { type: "ADDED", object: { n: 1 } },
      { type: "MODIFIED", object: { n: "ü" } },
    ]);
  });

  test(`over ${protocol}, an answer that breaks off is no answer`, async () => {
    await using asked = await asking(
      (_, response) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.write('{"items":[', () => response.destroy());
      },
      { protocol },
    );
    const error = await failureOf(asked.api.call({ method: "POST", path: "/api/v1/pods", body: {} }));
    assert.equal(error.code, "unavailable");
  });

  test(`over ${protocol}, a list of 2 GB is refused before it is read`, async () => {
    let taken = true;
    await using asked = await asking(
      (_, response) => {
        response.on("close", () => (taken = false));
        response.writeHead(200, { "content-length": String(2 ** 31) });
        response.write("[");
      },
      { protocol },
    );
    const error = await failureOf(get(asked.api));
    assert.match(error.message, /announces 2147483648 bytes, and at most 268435456 bytes are taken/);
    assert.equal(error.code, "exhausted");
    await until(() => !taken);
  });

  test(`over ${protocol}, an answer that does not say how long it is ends where our patience does`, async () => {
    await using asked = await asking(
      (_, response) => {
        // Once its client is gone an answer over HTTP/2 still counts as writable, and each write fails at once.
        const more = (error?: Error | null): void =>
          void (error || response.write("x".repeat(10_000), (failed) => setImmediate(more, failed)));
        more();
      },
      { protocol, limits: { answerBytesMax: 100_000 } },
    );
    assert.equal((await failureOf(get(asked.api))).code, "exhausted");
  });

  test(`over ${protocol}, headers without end are refused`, async () => {
    await using asked = await asking(
      (_, response) =>
        answerJson(
          response,
          200,
          {},
          Object.fromEntries(Array.from({ length: 90 }, (_, at) => [`x-${at}`, "x".repeat(1000)])),
        ),
      { protocol },
    );
    assert.equal((await failureOf(get(asked.api))).status, 0);
  });

  test(`over ${protocol}, calls and watches share connections that are kept`, async () => {
    await using asked = await asking((_, response) => answerJson(response, 200, {}), { protocol });
    for (let round = 0; round < 5; round += 1) await get(asked.api);
    // One more was only asked which protocol it speaks.
    assert.equal(asked.server.sockets.length, protocol === "http/1.1" ? 2 : 1);
  });

  test(`over ${protocol}, closing ends calls and watches, says so, and leaves no connection`, async () => {
    await using asked = await asking(
      (request, response) => {
        if (request.url!.includes("watch")) response.write('{"type":"ADDED","object":{}}\n');
      },
      { protocol },
    );
    const { opened, ended } = watched(asked.api);
    const call = failureOf(get(asked.api));
    await opened;
    await asked.api.close();
    for (const error of [await call, (await ended)!]) assert.match(error.message, /was closed here/);
    assert.match((await failureOf(get(asked.api))).message, /was closed here/);
    await until(() => asked.server.sockets.every(({ destroyed }) => destroyed));
    await asked.api.close();
  });

  test(`over ${protocol}, a disposed watch is given up at the server, and its handler is not called again`, async () => {
    const closed = deferred<void>();
    await using asked = await asking(
      (_, response) => {
        response.write('{"type":"ADDED","object":1}\n{"type":"ADDED","object":2}\n');
        response.on("close", () => closed.resolve());
      },
      { protocol },
    );
    const heard: unknown[] = [];
    const watch: Disposable = asked.api.watch("/api/v1/pods?watch=true", {
      onOpen() {},
      onEvent({ object }) {
        heard.push(object);
        watch[Symbol.dispose]();
      },
      onEnd: (error) => heard.push(error),
    });
    await closed.promise;
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(heard, [1]);
  });

  test(`over ${protocol}, a redirect is refused with the host it points to`, async () => {
    let asks = 0;
    await using asked = await asking(
      (_, response) => {
        asks += 1;
        answerJson(response, 307, {}, { location: "https://evil.example:8443/x" });
      },
      { protocol },
    );
    const error = await failureOf(get(asked.api));
    assert.match(error.message, /answered with 307, which points to the host evil\.example:8443; redirects are never/);
    assert.equal((await watched(asked.api).ended)?.status, 307);
    assert.equal(asks, 2);
  });

  test(`over ${protocol}, a server that comes back is found again`, async () => {
    await using asked = await asking((_, response) => answerJson(response, 200, {}), { protocol });
    await get(asked.api);
    for (const socket of asked.server.sockets) socket.destroy();
    // Whether it hears of the end before it asks, or while it asks.
    await get(asked.api);
    await get(asked.api);
  });
}

const STATUSES: readonly (readonly [number, string])[] = [
  [400, "invalid"],
  [401, "unauthenticated"],
  [403, "denied"],
  [404, "absent"],
  [405, "unsupported"],
  [409, "conflict"],
  [410, "conflict"],
  [413, "exhausted"],
  [422, "invalid"],
  [429, "exhausted"],
  [500, "unavailable"],
  [503, "unavailable"],
  [504, "timeout"],
];

test("a status says what a caller can do about it, in the server's words, made fit for a terminal", async () => {
  await using asked = await asking(({ url }, response) => {
    const status = Number(url!.slice(1));
    answerJson(response, status, { kind: "Status", reason: "Because", message: `no \u001b[31m${"x".repeat(5000)}` });
  });
  for (const [status, code] of STATUSES) {
    const error = await failureOf(get(asked.api, `/${status}`));
    assert.deepEqual([error.code, error.status, error.reason], [code, status, "Because"]);
    assert.ok(
      error.message.startsWith(
        `GET /${status} at ${asked.server.url} was answered with ${status} Because: no \\u{1b}[31mxxx`,
      ),
    );
    assert.ok(error.message.length < 1000);
  }
});

test("a watch that is refused ends with the refusal, and without an event", async () => {
  await using asked = await asking((_, response) => answerJson(response, 403, { kind: "Status", reason: "Forbidden" }));
  const { events, ended } = watched(asked.api);
  assert.equal((await ended)?.reason, "Forbidden");
  assert.deepEqual(events, []);
});

test("how long to wait is read from the header, or else from the Status", async () => {
  await using asked = await asking(({ url }, response) => {
    const details = { retryAfterSeconds: 7 };
    answerJson(response, 429, { kind: "Status", details }, url === "/both" ? { "retry-after": "2" } : {});
  });
  assert.equal((await failureOf(get(asked.api, "/both"))).retryAfterMs, 2000);
  assert.equal((await failureOf(get(asked.api, "/one"))).retryAfterMs, 7000);
});

const NOT_JSON: readonly (readonly [string, string, RegExp])[] = [
  ["<html>sign in</html>", "text/html", /is not JSON .* but says it is text\/html; is that an API server\?/],
  ['{"items":[', "application/json", /is not JSON/],
];
test("a success that is not JSON is a failure", async () => {
  for (const [body, type, says] of NOT_JSON) {
    await using asked = await asking((_, response) => void response.writeHead(200, { "content-type": type }).end(body));
    assert.match((await failureOf(get(asked.api))).message, says);
  }
});

test("an answer that is compressed, though nobody asked for it, is refused", async () => {
  await using asked = await asking((_, response) => answerJson(response, 200, {}, { "content-encoding": "gzip" }));
  assert.match((await failureOf(get(asked.api))).message, /encoded as gzip/);
});

const BROKEN_WATCHES: readonly (readonly [string, string, RegExp])[] = [
  [
    "a line that is not JSON",
    '{"type":"ADDED","object":1}\n<html>\n{"type":"ADDED","object":2}\n',
    /a line is no event: <html>/,
  ],
  ["a line that is no event", '{"type":"ADDED","object":1}\n[]\n', /a line is no event: \[\]/],
  ["an event without an end", '{"type":"ADDED","object":1}\n{"type":', /it ended in the middle of an event/],
  [
    "an event without measure",
    `{"type":"ADDED","object":1}\n{"type":"${"x".repeat(2000)}`,
    /an event is longer than 1000 bytes/,
  ],
  [
    "a whole event over the measure",
    `{"type":"ADDED","object":1}\n{"type":"${"x".repeat(2000)}"}\n`,
    /longer than 1000 bytes/,
  ],
];
for (const [what, body, says] of BROKEN_WATCHES)
  test(`${what} ends a watch, after what came before it`, async () => {
    await using asked = await asking((_, response) => void response.end(body), { limits: { lineBytesMax: 1000 } });
    const { events, ended } = watched(asked.api);
    assert.match((await ended)!.message, says);
    assert.deepEqual(events, [{ type: "ADDED", object: 1 }]);
  });

test("a call ends at its deadline, a watch that is not accepted too, and one that is accepted has none", async () => {
  await using asked = await asking(
    ({ url }, response) => {
      if (!url!.endsWith("accept")) return;
      response.writeHead(200);
      response.write("\n");
      setTimeout(() => response.end('{"type":"ADDED","object":1}\n'), 120);
    },
    { limits: { callMs: 60 } },
  );
  const error = await failureOf(get(asked.api));
  assert.equal(error.code, "timeout");
  assert.match(error.message, /there was no complete answer in 0\.06 s/);
  assert.equal((await failureOf(asked.api.call({ method: "GET", path: "/", deadlineMs: 5 }))).code, "timeout");
  assert.equal((await watched(asked.api).ended)?.code, "timeout");
  assert.equal(await watched(asked.api, "/accept").ended, undefined);
});

test("a caller that gives up is heard at once", async () => {
  const asked = await asking(() => {});
  await using _ = asked;
  const controller = new AbortController();
  const failed = failureOf(asked.api.call({ method: "GET", path: "/" }, controller.signal));
  controller.abort();
  assert.equal((await failed).code, "unavailable");
  assert.equal((await failureOf(asked.api.call({ method: "GET", path: "/" }, controller.signal))).code, "unavailable");
});

test("a GOAWAY moves new calls to a new connection, and lets a watch go on", async () => {
  let finish = (): void => {};
  await using asked = await asking(({ url }, response) => {
    if (!url!.includes("watch")) return answerJson(response, 200, {});
    response.write('{"type":"ADDED","object":1}\n');
    finish = () => void response.end('{"type":"ADDED","object":2}\n');
  });
  const { events, opened, ended } = watched(asked.api);
  await opened;
  asked.server.sessions[0]!.goaway();
  while (asked.server.sessions.length < 2) await get(asked.api);
  finish();
  assert.equal(await ended, undefined);
  assert.deepEqual(
    events.map(({ object }) => object),
    [1, 2],
  );
});

test("an API that lies under a path is asked there", async () => {
  const server = await kubeServer(authority, ({ url }, response) => answerJson(response, 200, url));
  await using _ = server;
  const api = new HttpKubeApi(realHost(), server.connection({ server: `${server.url}/k8s/clusters/c-1` }));
  assert.equal(await get(api, "/api"), "/k8s/clusters/c-1/api");
  await api.close();
});

const ca = (from: TestAuthority) => ({ ca: { text: from.root } });
const TLS_FAILURES: readonly (readonly [
  string,
  () => Promise<ServerShape & { over?: Partial<ClusterConnection> }>,
  RegExp,
])[] = [
  [
    "of an unknown authority",
    async () => ({ over: ca(stranger) }),
    /not issued by a root that we trust for it; check certificate-authority-data/,
  ],
  [
    "for another name",
    async () => ({ pair: await authority.issue(["spiffe://x"]) }),
    /is for other names; check the server's name, or set tls-server-name/,
  ],
  [
    "for another name than was asked for",
    async () => ({ over: { tlsServerName: "api.example" } }),
    /is for other names/,
  ],
  [
    "that has expired",
    async () => ({ pair: await authority.issue([], -1000) }),
    /has expired; renew it there, and check the clock here/,
  ],
];
for (const [what, shape, says] of TLS_FAILURES)
  for (const protocol of ["h2", "http/1.1"] as const)
    test(`over ${protocol}, a certificate ${what} ends the call with what to check`, async () => {
      await using asked = await asking((_, response) => answerJson(response, 200, {}), {
        ...(await shape()),
        protocol,
      });
      const error = await failureOf(get(asked.api));
      assert.match(error.message, says);
      assert.deepEqual([error.code, error.status], ["unavailable", 0]);
    });

test("a certificate counts for the name that was asked for instead of the server's, and for none if it may be skipped", async () => {
  for (const over of [{ tlsServerName: "localhost" }, { insecureSkipTlsVerify: true, ...ca(stranger) }]) {
    await using asked = await asking((_, response) => answerJson(response, 200, {}), { over });
    assert.deepEqual(await get(asked.api), {});
  }
});

test("a server without TLS is told from one that has it, and a port where nobody listens from both", async () => {
  await using asked = await asking((_, response) => answerJson(response, 200, {}), { protocol: "http" });
  const url = asked.server.url.replace("http:", "https:");
  const wrong = new HttpKubeApi(realHost(), asked.server.connection({ server: url }));
  assert.match((await failureOf(get(wrong))).message, /it does not speak TLS there; check the port/);
  await asked[Symbol.asyncDispose]();
  assert.match((await failureOf(get(wrong))).message, /nothing listens there; check the server's address and port/);
});
