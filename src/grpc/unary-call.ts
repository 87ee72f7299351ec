import type { ServerHttp2Stream } from "node:http2";
import type { Credentials } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { MessageReader, messagePrefix } from "./frames.ts";
import type { UnaryMethod } from "./method.ts";
import { statusHeaders } from "./status.ts";
import { respondStatus } from "./stream-channel.ts";

/** gRPC over HTTP/2, Timeout: at most 8 digits and a unit. */
const TIMEOUT = /^([0-9]{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** Nothing unary takes longer: what has not ended by then is given up. */
const CALL_MS_MAX = 60_000;

/** One request and one answer over one HTTP/2 stream. Never rejects. */
export async function serveUnary(
  stream: ServerHttp2Stream,
  method: UnaryMethod,
  call: { readonly credentials: Credentials; readonly timeout: string | undefined },
  clock: Clock,
): Promise<void> {
  const abort = new AbortController();
  const timer = clock.after(timeoutMs(call.timeout), () => {
    const error = new MeshError("timeout", "the call took too long");
    abort.abort(error);
    respondStatus(stream, error);
  });
  stream.once("close", () => {
    timer[Symbol.dispose]();
    abort.abort(new MeshError("unavailable", "the client left"));
  });
  try {
    const request = await readRequest(stream, method.requestBytesMax);
    answer(stream, await method.call(request, call.credentials, abort.signal));
  } catch (thrown) {
    respondStatus(stream, thrown instanceof Error ? thrown : MeshError.from(thrown));
  }
}

function timeoutMs(header: string | undefined): number {
  const match = TIMEOUT.exec(header ?? "");
  return match === null ? CALL_MS_MAX : Math.min(Number(match[1]) * UNIT_MS[match[2]!]!, CALL_MS_MAX);
}

function readRequest(stream: ServerHttp2Stream, messageBytesMax: number): Promise<Uint8Array> {
  const reader = new MessageReader(messageBytesMax);
  const messages: Uint8Array[] = [];
  return new Promise((resolve, reject) => {
    stream.on("data", (chunk: Buffer) => {
      try {
        messages.push(...reader.push(chunk));
        if (messages.length > 1) throw new MeshError("invalid", "the call takes one message, and got more");
      } catch (thrown) {
        stream.removeAllListeners("data").resume();
        reject(thrown as Error);
      }
    });
    stream.once("end", () => {
      try {
        reader.finish();
      } catch (thrown) {
        reject(thrown as Error);
      }
      if (messages[0] === undefined) reject(new MeshError("invalid", "the call takes one message, and got none"));
      else resolve(messages[0]);
    });
    stream.once("close", () => reject(new MeshError("unavailable", "the client left")));
  });
}

function answer(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ ...statusHeaders() }));
  stream.write(messagePrefix(message.length));
  stream.end(message);
}
