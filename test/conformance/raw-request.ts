import { connect } from "node:net";

export interface RawRequest {
  readonly port: number;
  /** The loopback address that it comes from. */
  readonly from?: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  /** Of HTTP; 1.1 if it is not said. */
  readonly version?: "1.0" | "1.1";
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

/** Nothing here takes a tenth of it. */
const TIMEOUT_MS = 10_000;

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** One request with just these bytes (a letter each): what an HTTP client would not send, a caller still may. */
export function rawRequest({
  port,
  from,
  method,
  path,
  host,
  headers = [],
  version = "1.1",
}: RawRequest): Promise<RawAnswer> {
  const lines = [
    ["host", host],
    ...headers,
    ...(headers.some(([name]) => name === "connection") ? [] : [["connection", "close"]]),
  ].map(([name, value]) => `${name}: ${value}`);
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port, ...(from !== undefined && { localAddress: from }) });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`${method} ${path} to ${host} was not answered`)));
    socket.setEncoding("latin1");
    socket.on("error", reject);
    socket.on("close", () => resolve(answerIn(text) ?? { status: 0, head: text, body: "" }));
    // Envoy gives its callers a second to close first.
    socket.on("data", (chunk: string) => answerIn((text += chunk)) && socket.destroy());
    socket.write(Buffer.from(`${method} ${path} HTTP/${version}\r\n${lines.join("\r\n")}\r\n\r\n`, "latin1"));
  });
}

/** Undefined until all of it is there. */
function answerIn(text: string): RawAnswer | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [head, body] = [text.slice(0, end), text.slice(end + 4)];
  const length = Number(/^content-length: ([0-9]+)/im.exec(head)?.[1] ?? 0);
  return body.length < length ? undefined : { status: Number(head.split(" ")[1]), head, body };
}
