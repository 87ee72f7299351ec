import { connect } from "node:net";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { VERSION } from "../version.ts";
import { WholeAnswer } from "./answers.ts";
import type { ApiError } from "./api.ts";
import type { ClusterConnection } from "./connection.ts";
import { type Asked, failed, toApiError } from "./failures.ts";
import { handshake, tlsOptions } from "./handshake.ts";
import type { KubeLimits } from "./limits.ts";
import type { Credentials, Proof } from "./proof.ts";

/** One API server, and who we are there. */
export interface WebSocketServer {
  readonly clock: Clock;
  readonly connection: ClusterConnection;
  readonly credentials: Credentials;
  readonly limits: KubeLimits;
}

/**
 * A connection to the API server that is turned into a WebSocket, which is how it streams what a kubelet has. ⇄
 * @param path with its query, as the API has it. @param protocol the one that both sides are to speak.
 * @throws ApiError
 */
export async function openWebSocket(
  server: WebSocketServer,
  path: string,
  protocol: string,
  signal: AbortSignal,
): Promise<WebSocket> {
  const asked: Asked = { method: "GET", path, server: server.connection.server };
  const open = (): Promise<WebSocket> => openOnce(server, asked, protocol, signal);
  try {
    return await open().catch(async (thrown: unknown) => {
      const refused = toApiError(asked, thrown);
      if (refused.status !== 401 || !(await server.credentials.refresh())) throw refused;
      return open();
    });
  } catch (thrown) {
    throw toApiError(asked, thrown);
  }
}

async function openOnce(
  server: WebSocketServer,
  asked: Asked,
  protocol: string,
  signal: AbortSignal,
): Promise<WebSocket> {
  const proof = await server.credentials.current();
  const { WebSocket } = await import("ws");
  const socket = await connected(server, proof, signal);
  const webSocket = new WebSocket(`${server.connection.server}${asked.path}`, [protocol], {
    createConnection: () => socket as never,
    headers: { ...proof.headers, "user-agent": `causeway/${VERSION}` } as Record<string, string>,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
  });
  return upgraded(webSocket, server, asked, signal);
}

/** Kubelets send what one read gave them: 32 KiB. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

/** A connection over which only HTTP/1.1 is spoken: that is where WebSockets begin. */
async function connected(
  { clock, connection, limits }: WebSocketServer,
  proof: Proof,
  signal: AbortSignal,
): Promise<Duplex> {
  const origin = new URL(connection.server);
  if (origin.protocol === "http:") return connect({ host: origin.hostname, port: Number(origin.port || 80) });
  const options = { ...(await tlsOptions(connection, origin, proof)), ALPNProtocols: ["http/1.1"] };
  if (signal.aborted) throw calledOff();
  const closing = new AbortController();
  const cancel = (): void => closing.abort(calledOff());
  signal.addEventListener("abort", cancel);
  return handshake(clock, origin, options, limits.connectMs, closing.signal).finally(() =>
    signal.removeEventListener("abort", cancel),
  );
}

const calledOff = (): MeshError => new MeshError("unavailable", "it was called off, or took too long");

/** @throws ApiError with what the server said instead, or what broke it. */
function upgraded(
  webSocket: WebSocket,
  { limits }: WebSocketServer,
  asked: Asked,
  signal: AbortSignal,
): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      signal.removeEventListener("abort", cancel);
      act();
    };
    const fail = (thrown: unknown): void =>
      settle(() => {
        webSocket.terminate();
        reject(toApiError(asked, thrown));
      });
    const cancel = (): void => fail(calledOff());
    signal.addEventListener("abort", cancel);
    if (signal.aborted) cancel();
    // For as long as it lives: what breaks it later is heard by whoever reads it.
    webSocket.on("error", fail);
    webSocket.on("unexpected-response", (_, response) => {
      const answer = new WholeAnswer(asked, limits);
      try {
        answer.onHead(response.statusCode ?? 0, response.headers);
      } catch (thrown) {
        return fail(thrown);
      }
      response.on("data", (chunk: Buffer) => answer.onData(chunk));
      response.on("error", fail);
      response.on("end", () => fail(notUpgraded(asked, answer)));
    });
    webSocket.once("open", () =>
      settle(() => {
        webSocket.pause();
        resolve(webSocket);
      }),
    );
  });
}

function notUpgraded(asked: Asked, answer: WholeAnswer): ApiError {
  if (answer.status >= 400) return answer.refusal();
  const why = `it was answered with ${answer.status} and no WebSocket; is there a proxy in between that takes none?`;
  return failed(asked, "unsupported", why);
}
