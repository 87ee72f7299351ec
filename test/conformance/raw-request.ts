import { connect } from "node:net";

export interface RawRequest {
  readonly port: number;
  /** The loopback address that it comes from. */
  readonly from?: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** One request with just these bytes (a letter each): what an HTTP client would not send, a caller still may. */
export function rawRequest({ port, from, method, path, host, headers = [] }: RawRequest): Promise<RawAnswer> {
  const lines = [["host", host], ...headers, ["connection", "close"]].map(([name, value]) => `${name}: ${value}`);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ host: "127.0.0.1", port, ...(from !== undefined && { localAddress: from }) });
    socket.on("error", reject);
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("end", () => {
      socket.destroy();
      const text = Buffer.concat(chunks).toString("latin1");
      const [head = "", ...body] = text.split("\r\n\r\n");
      resolve({ status: Number(head.split(" ")[1] ?? 0), head, body: body.join("\r\n\r\n") });
    });
    socket.write(Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`, "latin1"));
  });
}
