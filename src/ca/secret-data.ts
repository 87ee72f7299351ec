import { MeshError } from "../errors.ts";
import { cacertsIn, type CacertsFiles } from "./cacerts.ts";

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * What a Secret with an authority holds.
 * @param name as `Secret istio-system/cacerts`, for messages.
 * @param data as the API server has it: base64 by key.
 * @throws MeshError `absent` if there is no authority in it, or not all of one; `invalid` for what is not base64.
 */
export function cacertsInSecret(name: string, data: unknown): CacertsFiles {
  const files = cacertsIn(name, textsOf(name, data));
  if (files !== undefined) return files;
  throw new MeshError("absent", `${name} holds no ca-cert.pem and no tls.crt; put the authority there, or delete it`);
}

/**
 * The same of `istio-ca-secret`: what signs is the root itself, and older ones of istiod's name it only once.
 * @throws MeshError as `cacertsInSecret`.
 */
export function ownRootInSecret(name: string, data: unknown): CacertsFiles {
  const texts = textsOf(name, data);
  const certificate = texts.get("ca-cert.pem");
  const whole = new Map([...texts].filter(([key]) => ["ca-cert.pem", "ca-key.pem", "root-cert.pem"].includes(key)));
  if (certificate === undefined || !texts.has("ca-key.pem"))
    throw new MeshError(
      "absent",
      `${name} lacks ca-cert.pem or ca-key.pem; restore it from a backup. If there is none, delete it, and each workload ` +
        "has to learn another root",
    );
  if ((whole.get("root-cert.pem") ?? "").trim() === "") whole.set("root-cert.pem", certificate);
  return cacertsIn(name, whole.set("cert-chain.pem", texts.get("cert-chain.pem") ?? ""))!;
}

/** What the data of a Secret says. @throws MeshError `invalid`, naming the key that is not base64. */
export function textsOf(name: string, data: unknown): Map<string, string> {
  const texts = new Map<string, string>();
  if (typeof data !== "object" || data === null) return texts;
  for (const [key, value] of Object.entries(data)) {
    const base64 = typeof value === "string" ? value.replace(/\s+/g, "") : "=";
    if (!BASE64.test(base64) || base64.length % 4 !== 0)
      throw new MeshError(
        "invalid",
        `${name}: ${key} is not base64, which the data of a Secret must be; use stringData`,
      );
    texts.set(key, Buffer.from(base64, "base64").toString("utf8"));
  }
  return texts;
}
