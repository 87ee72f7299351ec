import type { CacertsFiles } from "../ca/cacerts.ts";
import { newRoot, type OwnRoot, renewalIsDue, renewedRoot } from "../ca/own-root.ts";
import { pemBlocks, toPem } from "../pem.ts";
import { messageOf } from "../errors.ts";
import type { Host, Logger } from "../host.ts";
import { ApiError, type KubeApi } from "../kube/api.ts";
import type { KubeObject } from "../kube/object.ts";
import { createObject, replaceObject } from "../kube/objects-api.ts";
import { SECRETS } from "../kube/resource-types.ts";

/** istiod's name for it: whoever of the two comes second takes it over (contract ztunnel.md 4.7). */
export const OWN_ROOT_SECRET = "istio-ca-secret";

/** Writes the root of our own that all replicas share. It is there once, whoever writes it at the same time. */
export class OwnRootSecret {
  readonly #host: Host;
  readonly #api: KubeApi;
  readonly #namespace: string;
  readonly #log: Logger;
  #trouble = "";

  constructor(host: Host, api: KubeApi, namespace: string) {
    this.#host = host;
    this.#api = api;
    this.#namespace = namespace;
    this.#log = host.log.scope("ca");
  }

  /** Why the last attempt to write failed; empty if it did not. */
  get trouble(): string {
    return this.#trouble;
  }

  /** Makes one. Resolves to what is there then, or undefined if somebody else was first, or it failed. */
  async make(trustDomain: string): Promise<KubeObject | undefined> {
    const made = await this.#write("create", () => this.#create(newRoot(this.#host, trustDomain)));
    if (made)
      this.#log.info("made a root of our own", { secret: `${this.#namespace}/${OWN_ROOT_SECRET}`, trustDomain });
    return made;
  }

  /** Puts back what was deleted. */
  async restore(files: CacertsFiles): Promise<void> {
    const root = rootIn(files);
    const restored = await this.#write("create", () => this.#create(root));
    if (restored) this.#log.warn("put back the root of our own, which was deleted while it is in use");
  }

  /** Replaces the certificate in its last fifth, and keeps the key; not if somebody else changed it since. */
  async renew(object: KubeObject, files: CacertsFiles): Promise<void> {
    const root = rootIn(files);
    if (!renewalIsDue(root.certificate, this.#host.clock.now())) return;
    const renewed = renewedRoot(this.#host, root);
    const roots = rootsAfter(files.text.get("root-cert.pem")!, root, renewed);
    const data = {
      ...(object["data"] as object),
      ...encoded({ "ca-cert.pem": renewed.certificate, "root-cert.pem": roots }),
    };
    const at = { type: SECRETS, version: "v1", namespace: this.#namespace, name: OWN_ROOT_SECRET };
    const written = await this.#write("update", () => replaceObject(this.#api, at, { ...object, data }));
    if (written) this.#log.info("renewed the root of our own; its key is the same, so nobody has to learn another");
  }

  #create({ certificate, key }: OwnRoot): Promise<KubeObject> {
    const object = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: OWN_ROOT_SECRET, namespace: this.#namespace },
      type: "istio.io/ca-root",
      data: encoded({
        "ca-cert.pem": certificate,
        "ca-key.pem": key,
        "root-cert.pem": certificate,
        "cert-chain.pem": "",
        "key.pem": "",
      }),
    };
    return createObject(this.#api, { type: SECRETS, version: "v1", namespace: this.#namespace }, object);
  }

  /** Said once for each new reason: it is tried again every few seconds. */
  async #write(verb: string, write: () => Promise<KubeObject>): Promise<KubeObject | undefined> {
    try {
      const written = await write();
      this.#trouble = "";
      return written;
    } catch (thrown) {
      // Another replica was first, and its root is the one: what follows the Secret will see it.
      if (thrown instanceof ApiError && thrown.status === 409) return undefined;
      const denied = thrown instanceof ApiError && thrown.status === 403;
      const fix = denied
        ? `; grant ${verb} on secrets in namespace ${this.#namespace}, or make Secret cacerts there`
        : "";
      const trouble = `Secret ${this.#namespace}/${OWN_ROOT_SECRET} cannot be written: ${messageOf(thrown)}${fix}`;
      if (trouble !== this.#trouble) this.#log.error(trouble);
      this.#trouble = trouble;
      return undefined;
    }
  }
}

const rootIn = ({ text }: CacertsFiles): OwnRoot => ({
  certificate: text.get("ca-cert.pem")!,
  key: text.get("ca-key.pem")!,
});

/** The renewed root in the place of the old one, whatever lines that is written in; others stay. */
function rootsAfter(roots: string, old: OwnRoot, renewed: OwnRoot): string {
  const [before] = pemBlocks(old.certificate, "CERTIFICATE");
  const others = pemBlocks(roots, "CERTIFICATE").filter((der) => !der.equals(before!));
  return renewed.certificate + others.map((der) => toPem("CERTIFICATE", der)).join("");
}

const encoded = (texts: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text).toString("base64")]));
