import { request as plainRequest, type IncomingMessage } from "node:http";
import { request, type RequestOptions } from "node:https";
import type { Clock } from "../../host.ts";

export interface HttpExchange {
  readonly method: "GET" | "POST";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty for none. */
  readonly body: string;
  /** PEM that verifies the server; undefined for the authorities that Node.js knows. */
  readonly ca: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  /** Of a redirect; empty for none. */
  readonly location: string;
  readonly text: string;
}

/** A certificate, its chain and warnings are some 10 kB. */
export const ANSWER_BYTES_MAX = 256 * 1024;
/** To sign, Vault may have to ask an HSM; to log in, it asks an API server. */
export const ANSWER_MS = 15_000;

/**
 * One request and its whole answer, over a connection of its own: Vault is asked a few times a day. ⇄
 * @throws Error of the system, or one that says what was too long.
 */
export function exchange(
  clock: Clock,
  { url, body, ca, ...rest }: HttpExchange,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const length = body === "" ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const options: RequestOptions = {
      method: rest.method,
      headers: { ...rest.headers, ...length, "user-agent": "causeway", "accept-encoding": "identity" },
      agent: false,
      signal,
      ...(ca !== undefined && { ca }),
    };
    const send = url.protocol === "https:" ? request : plainRequest;
    const sent = send(url, options, (answer) => collect(answer, fail, done));
    const fail = (error: Error): void => {
      timer[Symbol.dispose]();
      reject(error);
      sent.destroy();
    };
    const done = (answer: HttpAnswer): void => {
      timer[Symbol.dispose]();
      resolve(answer);
    };
    const timer = clock.after(ANSWER_MS, () => fail(new Error(`it has not answered within ${ANSWER_MS / 1000} s`)));
    sent.on("error", fail);
    sent.end(body);
  });
}

function collect(answer: IncomingMessage, fail: (error: Error) => void, done: (answer: HttpAnswer) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  answer.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) fail(new Error(`it answers with over ${ANSWER_BYTES_MAX} bytes`));
    else chunks.push(chunk);
  });
  answer.on("error", () => fail(new Error("its answer was cut off")));
  answer.on("end", () =>
    done({
      status: answer.statusCode ?? 0,
      location: answer.headers.location ?? "",
      text: Buffer.concat(chunks).toString("utf8"),
    }),
  );
}
