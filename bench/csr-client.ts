import * as http2 from "node:http2";
import { messagePrefix } from "../src/grpc/frames.ts";
import { CREATE_CERTIFICATE } from "../src/ca/service.ts";

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
  /** Answers that were no certificate. */
  readonly failed: readonly string[];
}

async function run({ port, root, messages, tokens, count, connections, atOnce }: CsrOrder): Promise<CsrReport> {
  const bodies = messages.map((text) => {
    const message = Buffer.from(text, "base64");
    return Buffer.concat([messagePrefix(message.length), message]);
  });
  const failed: string[] = [];
  let next = 0;
  const worker = async (session: http2.ClientHttp2Session): Promise<void> => {
    for (let at = (next += 1); at <= count; at = next += 1) {
      const wrong = await one(session, tokens[at % tokens.length]!, bodies[at % bodies.length]!);
      if (wrong !== undefined) failed.push(wrong);
    }
  };
  const sessions = Array.from({ length: connections }, () => http2.connect(`https://127.0.0.1:${port}`, { ca: root }));
  await Promise.all(sessions.map((session) => new Promise((done) => session.once("connect", done))));
  const start = performance.now();
  await Promise.all(sessions.flatMap((session) => Array.from({ length: atOnce }, () => worker(session))));
  const ms = performance.now() - start;
  for (const session of sessions) session.destroy();
  return { ms, failed: failed.slice(0, 3) };
}

/** Why there was no certificate; undefined if there was. */
function one(session: http2.ClientHttp2Session, token: string, body: Buffer): Promise<string | undefined> {
  return new Promise((resolve) => {
    const stream = session.request({
      ":method": "POST",
      ":path": CREATE_CERTIFICATE,
      "content-type": "application/grpc",
      te: "trailers",
      authorization: `Bearer ${token}`,
      clusterid: "east",
    });
    let status: unknown;
    const note = (headers: http2.IncomingHttpHeaders): void => {
      status = headers["grpc-status"] ?? status;
      if (status !== undefined && status !== "0") status = `${String(status)} ${String(headers["grpc-message"])}`;
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("error", (error) => (status = error.message));
    stream.on("close", () => resolve(status === "0" ? undefined : String(status)));
    stream.resume();
    stream.end(body);
  });
}

process.on("message", (order: CsrOrder) => {
  run(order).then(
    (report) => process.send!(report),
    (error: unknown) => process.send!({ ms: NaN, failed: [String(error)] } satisfies CsrReport),
  );
});
