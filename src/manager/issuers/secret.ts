import { X509Certificate } from "node:crypto";
import type { Authority } from "../../ca/authority.ts";
import { authorityOf, cacertsIn, type CacertsFiles, ISTIO, KUBERNETES, withoutLists } from "../../ca/cacerts.ts";
import { selfIssued } from "../../ca/certificate-audit.ts";
import { readCertificate } from "../../ca/certificate-fields.ts";
import { type Maker, requireRoom } from "../../ca/intermediate.ts";
import { same } from "../../ca/lint-rules.ts";
import { isUnder } from "../../ca/root-anchor.ts";
import { ROOT_LAYOUT, trustDomainOf } from "../../ca/root-folder.ts";
import { MeshError } from "../../errors.ts";
import { pemBlocks } from "../../pem.ts";
import type { SignedIntermediate } from "../../relay/messages.ts";
import type { IntermediateOrder, Issuer } from "../issuer.ts";
import type { ObjectName } from "../policy.ts";
import { signedUnder } from "./signed-under.ts";

/** Texts of a Secret by key, decoded. @throws MeshError `unavailable`, or `invalid` for what is not base64. */
export type ReadSecret = (name: ObjectName, signal: AbortSignal) => Promise<ReadonlyMap<string, string> | "absent">;

/** What was found, and the one of its roots under which it signs. */
interface Found {
  readonly authority: Authority;
  readonly root: Uint8Array;
  /** That it is named for; undefined for one that is named for none. */
  readonly trustDomain: string | undefined;
}

/**
 * Signs with an authority that somebody put into a Secret: a root, or an intermediate below it, in the layout of
 * `cacerts`, of cert-manager or of `causeway ca init`. It is read anew each time, as it may be renewed at any.
 */
export class SecretIssuer implements Issuer {
  readonly title: string;
  readonly #maker: Maker;
  readonly #name: ObjectName;
  readonly #read: ReadSecret;

  constructor(maker: Maker, name: ObjectName, read: ReadSecret) {
    this.title = `Secret ${name.namespace}/${name.name}`;
    this.#maker = maker;
    this.#name = name;
    this.#read = read;
  }

  /** The one that it signs under, then those that are beside it in the Secret. */
  async roots(signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const { authority, root } = await this.#found(signal);
    // Now, and not when the whole mesh has begun to change to it.
    this.#requireRoom([...authority.chain, root]);
    return [root, ...authority.roots.filter((other) => !same(other, root))];
  }

  async sign(order: IntermediateOrder, signal: AbortSignal): Promise<SignedIntermediate> {
    const { authority, root, trustDomain } = await this.#found(signal);
    if (trustDomain !== undefined && trustDomain !== order.trustDomain)
      throw new MeshError(
        "denied",
        `${this.title} holds an authority of trust domain ${trustDomain}, and cluster ${order.cluster} is of ` +
          `${order.trustDomain}; put one there that is named for that trust domain, or for none`,
      );
    return signedUnder(this.#maker, { title: this.title, key: authority, path: [...authority.chain, root] }, order);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #requireRoom(path: readonly Uint8Array[]): void {
    try {
      requireRoom(this.title, path);
    } catch (thrown) {
      const { code, message } = MeshError.from(thrown);
      const fix = "as causeway ca issue makes with --path-length 1";
      throw new MeshError(code, `${message.split(";")[0]}; put one there that has room for one more, ${fix}`);
    }
  }

  async #found(signal: AbortSignal): Promise<Found> {
    const texts = await this.#read(this.#name, signal);
    if (texts === "absent")
      throw new MeshError("absent", `${this.title} is not there; create it with ${LAYOUTS}, or name another one`);
    const files = filesIn(this.title, texts);
    const [own] = pemBlocks(files.text.get(files.layout.certificate)!, "CERTIFICATE");
    const trustDomain = own && trustDomainOf(own);
    const authority = authorityOf(files, trustDomain ?? "", this.#maker.clock.now());
    return { authority, root: rootOf(authority), trustDomain };
  }
}

const LAYOUTS =
  "ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem, with tls.crt, tls.key and ca.crt, or with root-cert.pem and root-key.pem";

function filesIn(title: string, texts: ReadonlyMap<string, string>): CacertsFiles {
  const { certificate, key } = ROOT_LAYOUT;
  if (texts.has(key) && texts.has(certificate) && !texts.has(ISTIO.certificate) && !texts.has(KUBERNETES.certificate))
    return { folder: title, layout: ROOT_LAYOUT, text: texts, digest: "" };
  const files = cacertsIn(title, withRoot(texts));
  // What was revoked is for those to see who verify.
  if (files !== undefined) return withoutLists(files);
  throw new MeshError("absent", `${title} holds no authority; fill it with ${LAYOUTS}`);
}

/** `kubectl create secret tls` makes no ca.crt, and a root needs none. */
function withRoot(texts: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const { certificate, root } = KUBERNETES;
  const own = texts.get(certificate);
  return own !== undefined && !texts.has(root) && isRoot(own) ? new Map([...texts, [root, own]]) : texts;
}

function isRoot(pem: string): boolean {
  try {
    const [der, ...more] = pemBlocks(pem, "CERTIFICATE");
    return der !== undefined && more.length === 0 && selfIssued(new X509Certificate(der));
  } catch {
    return false;
  }
}

/** Of those that verify what it signs, the one that ends last. */
function rootOf(authority: Authority): Uint8Array {
  const above = authority.roots.filter(
    (root) =>
      isUnder(authority, [root]) &&
      (authority.chain.length > 0 || same(readCertificate(root).subject, authority.subject)),
  );
  return above.sort((a, b) => readCertificate(b).notAfter - readCertificate(a).notAfter)[0]!;
}
