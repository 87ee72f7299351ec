import * as http2 from "node:http2";
import * as tls from "node:tls";
import { messagePrefix } from "../src/grpc/frames.ts";
import { CREATE_CERTIFICATE } from "../src/ca/service.ts";
import { Http2Requests } from "./http2-requests.ts";

/** Requests for certificates, as many ztunnels send them: on some connections, several at once on each. */
export interface CsrOrder {
  readonly port: number;
  readonly root: string;
  /** Encoded, in base64; one after the other, and over again. */
  readonly messages: readonly string[];
  readonly tokens: readonly string[];
  readonly count: number;
  readonly connections: number;
  readonly atOnce: number;
}

export interface CsrReport {
  readonly ms: number;
  /** Why there were no certificates, if there were not. */
  readonly failed: string | undefined;
}

async function run(order: CsrOrder): Promise<CsrReport> {
  const bodies = order.messages.map((text) => {
    const message = Buffer.from(text, "base64");
    return Buffer.concat([messagePrefix(message.length), message]);
  });
  const failed = await one(order, bodies[0]!);
  if (failed !== undefined) return { ms: NaN, failed };
  const heads = order.tokens.map((token) => Http2Requests.head(headersOf(token)));
  const sockets = await Promise.all(Array.from({ length: order.connections }, () => connect(order)));
  const start = performance.now();
  let [next, wrong] = [0, 0];
  await Promise.all(
    sockets.map((socket) => {
      const requests = new Http2Requests(socket, (answer) => {
        if (answer?.includes("-----BEGIN CERTIFICATE-----") !== true) wrong += 1;
      });
      return requests.run(order.atOnce, () => {
        const at = (next += 1);
        return at > order.count ? undefined : { head: heads[at % heads.length]!, body: bodies[at % bodies.length]! };
      });
    }),
  );
  const ms = performance.now() - start;
  for (const socket of sockets) socket.destroy();
  return { ms, failed: wrong > 0 ? `${wrong} answers were no certificate` : undefined };
}

function connect({ port, root }: CsrOrder): Promise<tls.TLSSocket> {
  const socket = tls.connect({ host: "127.0.0.1", port, ca: root, ALPNProtocols: ["h2"] });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("secureConnect", () => resolve(socket));
  });
}

const headersOf = (token: string): Readonly<Record<string, string>> => ({
  ":method": "POST",
  ":scheme": "https",
  ":path": CREATE_CERTIFICATE,
  ":authority": "127.0.0.1",
  "content-type": "application/grpc",
  te: "trailers",
  authorization: `Bearer ${token}`,
  clusterid: "east",
});

/** Asks once through Node's own client: why there was no certificate, or undefined. */
function one({ port, root, tokens }: CsrOrder, body: Buffer): Promise<string | undefined> {
  const session = http2.connect(`https://127.0.0.1:${port}`, { ca: root });
  return new Promise<string | undefined>((resolve, reject) => {
    session.once("error", reject);
    const stream = session.request(headersOf(tokens[0]!));
    let status: string | undefined = "there was no status";
    const note = (headers: http2.IncomingHttpHeaders): void => {
      const code = headers["grpc-status"];
      if (code !== undefined) status = code === "0" ? undefined : `${String(code)} ${String(headers["grpc-message"])}`;
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.once("error", reject);
    stream.once("close", () => resolve(status));
    stream.resume();
    stream.end(body);
  }).finally(() => session.destroy());
}

process.on("message", (order: CsrOrder) => {
  run(order).then(
    (report) => process.send!(report),
    (error: unknown) => process.send!({ ms: NaN, failed: String(error) } satisfies CsrReport),
  );
});
