import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { isIP } from "node:net";
import { EMPTY_NAME, serialFrom } from "../ca/certificate.ts";
import { BACKDATED_MS } from "../ca/intermediate.ts";
import { bundle, DAY_MS } from "../ca/new-authority.ts";
import { ownCertificate } from "../ca/own-certificate.ts";
import { messageOf } from "../errors.ts";
import type { ServingCertificate } from "../grpc/server.ts";
import type { Host } from "../host.ts";
import { ipBytes } from "../ip-bytes.ts";
import type { RelayAuthority } from "./relay-authority.ts";
import { RELAY_MANAGER_ID } from "./relay-identity.ts";

const LIFE_MS = 30 * DAY_MS;
/** Whether it is due is looked at this often; a timer cannot run for half of its life. */
const LOOK_MS = 3_600_000;

/**
 * Keeps the certificate that the manager shows to clusters, and replaces it at half of its life. The root is part of what
 * is shown: a cluster that has only a token knows it by its SHA-256.
 */
export class RelayServing {
  readonly #host: Host;
  readonly #authority: RelayAuthority;
  readonly #names: readonly string[];
  #renewAt = 0;
  /** SHA-256 of the root. */
  #shown = "";
  #timer: Disposable | undefined;

  /** @param names DNS names and IP addresses, at least one. Clusters look at `RELAY_MANAGER_ID`, whatever these are. */
  constructor(host: Host, authority: RelayAuthority, names: readonly string[]) {
    this.#host = host;
    this.#authority = authority;
    this.#names = names;
  }

  /** Gives the first at once, and `onRenewed` each later one. @throws MeshError `internal` if the names are none. */
  start(onRenewed: (certificate: ServingCertificate) => void): ServingCertificate {
    this.#lookAgain(onRenewed);
    return this.#issue();
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
  }

  #lookAgain(onRenewed: (certificate: ServingCertificate) => void): void {
    this.#timer = this.#host.clock.after(LOOK_MS, () => {
      this.#lookAgain(onRenewed);
      void this.#look(onRenewed);
    });
  }

  async #look(onRenewed: (certificate: ServingCertificate) => void): Promise<void> {
    await this.#authority.renewIfDue();
    // What tokens say of the root has to be what we show.
    if (this.#host.clock.now() < this.#renewAt && this.#shown === this.#authority.rootSha256) return;
    try {
      onRenewed(this.#issue());
    } catch (thrown) {
      // Streams that are open live on, and so must we.
      this.#host.log.scope("trust").error("the serving certificate was not renewed", { why: messageOf(thrown) });
    }
  }

  #issue(): ServingCertificate {
    const { clock, random } = this.#host;
    const now = clock.now();
    const { privateKey: key } = generateKeyPairSync("ec", {
      namedCurve: "P-256",
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    });
    const { issuer, notAfter: end, roots, rootSha256 } = this.#authority;
    const ips = this.#names.filter((name) => isIP(name) !== 0);
    const template = {
      serial: serialFrom(random.bytes(16)),
      notBefore: now - BACKDATED_MS,
      notAfter: Math.min(now + LIFE_MS, end),
      subject: EMPTY_NAME,
      publicKey: createPublicKey(key).export({ type: "spki", format: "der" }),
      purpose: "server" as const,
      names: {
        uris: [RELAY_MANAGER_ID],
        dns: this.#names.filter((name) => !ips.includes(name)),
        ips: ips.flatMap((ip) => ipBytes(ip) ?? []),
      },
    };
    const leaf = ownCertificate(template, issuer, end);
    this.#renewAt = now + LIFE_MS / 2;
    this.#shown = rootSha256;
    return { chain: bundle([leaf, roots[0]!]), key, clientRoots: bundle(roots) };
  }
}
