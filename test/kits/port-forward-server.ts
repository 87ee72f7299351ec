import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { type Answer, answerJson, type KubeServer, kubeServer } from "./kube-server.ts";
import type { TestAuthority } from "./tls.ts";

/** What a server that refuses says instead. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

export interface PortForwardLab {
  readonly server: KubeServer;
  /** As asked, in order: path and what was shown. */
  readonly asked: { readonly path: string; readonly authorization: string | undefined }[];
}

/**
 * An API server whose pods listen on ports of this machine, and that forwards them as a kubelet does.
 * @param localPort what a forward of `path` leads to. @param refuse what is said to a request instead, if anything.
 * @param answer what is said to requests that forward nothing.
 */
export async function portForwardServer(
  authority: TestAuthority,
  localPort: (path: string) => number,
  refuse: (authorization: string | undefined) => Refusal | undefined = () => undefined,
  answer: Answer = (_, response) => answerJson(response, 404, {}),
): Promise<PortForwardLab> {
  const asked: { path: string; authorization: string | undefined }[] = [];
  const webSockets = new WebSocketServer({ noServer: true });
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const path = request.url ?? "";
    const { authorization } = request.headers;
    asked.push({ path, authorization });
    const refusal = refuse(authorization);
    if (refusal !== undefined) return sayNo(socket, refusal);
    const port = Number(new URL(path, "https://x").searchParams.get("ports"));
    webSockets.handleUpgrade(request, socket, head, (webSocket) => forward(webSocket, port, localPort(path)));
  };
  const shape = { protocol: "http/1.1", onUpgrade } as const;
  const server = await kubeServer(authority, answer, shape);
  return { server, asked };
}

function sayNo(socket: Duplex, { status, message }: Refusal): void {
  const body = JSON.stringify({ kind: "Status", reason: "Refused", message });
  const head = [`HTTP/1.1 ${status} No`, "content-type: application/json", `content-length: ${body.length}`];
  socket.end(`${head.join("\r\n")}\r\nconnection: close\r\n\r\n${body}`);
}

function forward(webSocket: WebSocket, port: number, localPort: number): void {
  const begin = (channel: number): void => webSocket.send(Buffer.of(channel, port & 0xff, port >> 8));
  begin(0);
  begin(1);
  const socket = connect(localPort, "127.0.0.1");
  socket.on("data", (bytes: Buffer) => webSocket.send(Buffer.concat([Buffer.of(0), bytes])));
  socket.on("error", (error) => webSocket.send(Buffer.concat([Buffer.of(1), Buffer.from(error.message)])));
  socket.on("close", () => webSocket.close());
  webSocket.on("message", (message: Buffer) => socket.write(message.subarray(1)));
  webSocket.on("close", () => socket.destroy());
}
