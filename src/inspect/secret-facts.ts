import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import { messageOf } from "../errors.ts";
import { printable } from "../printable.ts";
import { REMOTE_SECRET_LABEL } from "../registry/kube/remote-secrets.ts";
import { parseYamlDocument } from "../yaml-document.ts";

/** What a remote secret says of one cluster; its credentials are not in it. */
export interface RemoteFacts {
  readonly cluster: string;
  /** The URL of its API server; empty if it could not be read. */
  readonly server: string;
  /** How it proves who it is there: `token`, `certificate`, `exec` or as the kubeconfig calls it. */
  readonly proof: string;
  /** Of a token, in milliseconds since the epoch; undefined if it does not say, or is none. */
  readonly issuedAt: number | undefined;
  readonly expiresAt: number | undefined;
  /** Why it cannot be read; empty if it can. */
  readonly why: string;
}

const KUBECONFIG_BYTES_MAX = 1024 * 1024;
const CERTIFICATES = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END (?:TRUSTED )?CERTIFICATE-----/g;

/**
 * A Secret without what is secret: the certificates in its data, and `remotes` in the place of kubeconfigs. What was
 * reduced before stays as it is.
 */
export function reducedSecret(secret: KubeObject): KubeObject {
  const { apiVersion, kind, metadata, type, data, stringData, remotes } = secret;
  const texts = textsOf(data, stringData);
  const isRemote = metadata.labels?.[REMOTE_SECRET_LABEL] === "true";
  const known = remotesIn(remotes);
  return {
    ...{ apiVersion, kind, metadata },
    ...(typeof type === "string" && { type }),
    data: Object.fromEntries(texts.flatMap(([key, text]) => certificatesOf(key, text))),
    ...(isRemote && { remotes: known ?? texts.map(([cluster, text]) => remoteFacts(cluster, text)) }),
  };
}

/** Of a Secret as `reducedSecret` leaves it. */
export const remotesOf = (secret: KubeObject): readonly RemoteFacts[] => remotesIn(secret["remotes"]) ?? [];

/** What a key of a Secret's data holds, decoded; undefined without it. */
export function secretText(secret: KubeObject, key: string): string | undefined {
  return textsOf(secret["data"], secret["stringData"]).find(([name]) => name === key)?.[1];
}

function textsOf(data: unknown, stringData: unknown): readonly (readonly [string, string])[] {
  const plain = isFields(stringData) ? Object.entries(stringData) : [];
  const encoded = isFields(data) ? Object.entries(data) : [];
  return [
    ...encoded.map(([key, value]) => [key, Buffer.from(String(value), "base64").toString("utf8")] as const),
    ...plain.map(([key, value]) => [key, String(value)] as const),
  ];
}

function certificatesOf(key: string, text: string): readonly (readonly [string, string])[] {
  const certificates = text.match(CERTIFICATES) ?? [];
  return certificates.length === 0 ? [] : [[key, Buffer.from(`${certificates.join("\n")}\n`).toString("base64")]];
}

function remotesIn(value: unknown): readonly RemoteFacts[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return (value as readonly unknown[]).filter(isFields).map((entry) => ({
    cluster: textOf(entry["cluster"]),
    server: textOf(entry["server"]),
    proof: textOf(entry["proof"]),
    issuedAt: numberOf(entry["issuedAt"]),
    expiresAt: numberOf(entry["expiresAt"]),
    why: textOf(entry["why"]),
  }));
}

function remoteFacts(cluster: string, text: string): RemoteFacts {
  const unread = { cluster, server: "", proof: "", issuedAt: undefined, expiresAt: undefined };
  try {
    const { value } = parseYamlDocument(text, "its kubeconfig", KUBECONFIG_BYTES_MAX);
    if (!isFields(value)) return { ...unread, why: "its kubeconfig is no map" };
    const context = named(value["contexts"], "context", value["current-context"]);
    const server = textOf(named(value["clusters"], "cluster", context["cluster"])["server"]);
    return {
      ...unread,
      server: withoutUserinfo(server),
      ...proofOf(named(value["users"], "user", context["user"])),
      why: "",
    };
  } catch (thrown) {
    // The parser says where, and may quote a word of what is there.
    return { ...unread, why: printable(messageOf(thrown).split(":", 1)[0]!, 80) };
  }
}

/** An entry of a kubeconfig's list by its name, or the only one. */
function named(list: unknown, part: string, name: unknown): Readonly<Record<string, unknown>> {
  const entries = Array.isArray(list) ? (list as readonly unknown[]).filter(isFields) : [];
  const entry = entries.find((each) => each["name"] === name) ?? (entries.length === 1 ? entries[0] : undefined);
  const found = entry?.[part];
  return isFields(found) ? found : {};
}

const withoutUserinfo = (server: string): string => server.replace(/^([a-z]+:\/\/)[^/@]*@/i, "$1");

function proofOf(user: Readonly<Record<string, unknown>>): Pick<RemoteFacts, "proof" | "issuedAt" | "expiresAt"> {
  const token = user["token"];
  if (typeof token === "string") return { proof: "token", ...tokenTimes(token) };
  const other = ["exec", "auth-provider", "tokenFile", "username"].find((field) => user[field] !== undefined);
  const certificate = "client-certificate-data" in user || "client-certificate" in user;
  return { proof: certificate ? "certificate" : (other ?? "none"), issuedAt: undefined, expiresAt: undefined };
}

/** Of a JWT's claims; a token of another shape says nothing. */
function tokenTimes(token: string): Pick<RemoteFacts, "issuedAt" | "expiresAt"> {
  const claims = claimsOf(token.split(".")[1] ?? "");
  const ms = (claim: unknown): number | undefined => (typeof claim === "number" ? claim * 1000 : undefined);
  return { issuedAt: ms(claims["iat"]), expiresAt: ms(claims["exp"]) };
}

function claimsOf(part: string): Readonly<Record<string, unknown>> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return isFields(claims) ? claims : {};
  } catch {
    return {};
  }
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const numberOf = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
