import { isIP } from "node:net";
import { connect, type DetailedPeerCertificate, type TLSSocket } from "node:tls";
import { messageOf } from "../errors.ts";
import { printable } from "../printable.ts";
import type { GatewayFacts } from "./trust-facts.ts";

const ANSWER_MS = 5_000;
const CHAIN_MAX = 16;
const ASKED = /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|BAD_CERTIFICATE/;

/**
 * What an address presents over TLS to whoever has no certificate. In TLS 1.3 a server shows its certificate before it sees
 * that we have none, and ends the connection after; in TLS 1.2 it may end the handshake first. ⇄
 */
export async function probeGateway(address: string, signal: AbortSignal): Promise<GatewayFacts> {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[|\]$/g, "");
  const socket = connect({
    ...{ host, port: Number(address.slice(at + 1)), ALPNProtocols: ["h2"] },
    ...(isIP(host) === 0 && { servername: host }),
    // Who it is is judged by what it shows, not here.
    rejectUnauthorized: false,
  });
  const stop = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
  try {
    return await answerOf(socket, address, stop);
  } finally {
    socket.destroy();
  }
}

function answerOf(socket: TLSSocket, address: string, stop: AbortSignal): Promise<GatewayFacts> {
  return new Promise((resolve) => {
    let shown: readonly Uint8Array[] | undefined;
    const end = (thrown?: Error): void => {
      const asked = thrown !== undefined && ASKED.test("code" in thrown ? String(thrown.code) : "");
      if (shown !== undefined || asked) resolve({ address, shown: shown ?? [], asked });
      else
        resolve({ address, why: thrown ? printable(messageOf(thrown), 400) : "it closed without presenting anything" });
    };
    socket.once("secureConnect", () => {
      shown = chainOf(socket.getPeerCertificate(true));
      // A server that wants a certificate says so now; another waits for us.
      socket.end();
    });
    socket.once("error", end);
    socket.once("close", () => end());
    const late = (): void => end(new Error(`it did not answer within ${ANSWER_MS / 1000} s`));
    if (stop.aborted) late();
    else stop.addEventListener("abort", late, { once: true });
  });
}

/** Its own first; a root is its own issuer. */
function chainOf(first: DetailedPeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: DetailedPeerCertificate | undefined = first;
  while (next?.raw !== undefined && chain.length < CHAIN_MAX) {
    chain.push(next.raw);
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain;
}
