import { hash } from "node:crypto";
import { cacertsIn, type CacertsFiles, ISTIO } from "../ca/cacerts.ts";
import type { IdentityStore } from "../relay/client-identity.ts";
import type { AuthorityUpdate, Installed } from "../relay/installed.ts";
import type { Bound } from "../relay/messages.ts";

/** Where a cluster keeps what the trust manager has it do: folders, or objects of its API server. */
export interface RelaySink {
  /** Where the authority lies, as `Secret istio-system/cacerts`. */
  readonly title: string;
  readonly identity: IdentityStore;
  /** Before anything else. @throws MeshError for a folder that cannot be used. */
  open(): Promise<void>;
  /** @throws MeshError if it cannot be read. */
  look(): Promise<Installed>;
  /**
   * All files at once, with what was there before kept beside them.
   * @throws MeshError `conflict` if something else is there than the update replaces; `denied` for somebody else's.
   */
  install(update: AuthorityUpdate): Promise<void>;
  /** @throws MeshError if they could not all be written. */
  govern(bounds: readonly Bound[] | undefined): Promise<void>;
}

/** What is ours is read though it is not whole: it is then as one that cannot be used, and made anew. */
export function filesAsTheyAre(title: string, texts: ReadonlyMap<string, string>): CacertsFiles {
  try {
    const whole = cacertsIn(title, texts);
    if (whole !== undefined) return whole;
  } catch {
    // Said by whoever looks whether it can be used.
  }
  const text = new Map(Object.values(ISTIO).map((name) => [name!, texts.get(name!) ?? ""]));
  return { folder: title, layout: ISTIO, text, digest: hash("sha256", JSON.stringify([...texts]), "base64url") };
}

/** As text: what a client identity is kept as, by the names that Kubernetes has for it. */
export const IDENTITY_KEYS = { chain: "tls.crt", key: "tls.key", roots: "ca.crt" } as const;
