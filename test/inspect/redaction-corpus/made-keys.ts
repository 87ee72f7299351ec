import { createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";

/** Private keys, made anew for each run, in every form that they are kept in. */
export interface MadeKey {
  readonly name: string;
  readonly pem: string;
  readonly der: Buffer;
}

export function madeKeys(): readonly MadeKey[] {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const large = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
  const edwards = generateKeyPairSync("ed25519").privateKey;
  return [
    made("RSA, PKCS#8", rsa, "pkcs8"),
    made("RSA, PKCS#1", rsa, "pkcs1"),
    made("P-256, PKCS#8", ec, "pkcs8"),
    made("P-384, SEC1", large, "sec1"),
    made("Ed25519, PKCS#8", edwards, "pkcs8"),
    sealed(rsa),
    openSsh(),
  ];
}

function made(name: string, key: KeyObject, type: "pkcs8" | "pkcs1" | "sec1"): MadeKey {
  const pem = key.export({ format: "pem", type } as { format: "pem"; type: "pkcs8" }) as string;
  return { name, pem, der: key.export({ format: "der", type } as { format: "der"; type: "pkcs8" }) as Buffer };
}

function sealed(key: KeyObject): MadeKey {
  const how = { type: "pkcs8", cipher: "aes-256-cbc", passphrase: randomBytes(12).toString("hex") } as const;
  const pem = key.export({ format: "pem", ...how }) as string;
  return { name: "RSA, encrypted", pem, der: Buffer.from(pem.replace(/-----[^-]+-----/g, ""), "base64") };
}

/** The layout is only ever looked at from outside. */
function openSsh(): MadeKey {
  const der = Buffer.concat([Buffer.from("openssh-key-v1\0"), createSecretKey(randomBytes(400)).export()]);
  const body = der.toString("base64").replace(/.{70}/g, "$&\n");
  const pem = `-----BEGIN OPENSSH PRIVATE KEY-----\n${body}\n-----END OPENSSH PRIVATE KEY-----\n`;
  return { name: "OpenSSH", pem, der };
}
