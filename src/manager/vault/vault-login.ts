import { readFile } from "node:fs/promises";
import { MeshError, messageOf } from "../../errors.ts";
import type { ObjectName, VaultAuth } from "../policy.ts";
import type { ReadSecretKey } from "./vault-authorities.ts";
import type { VaultClient, VaultReply } from "./vault-client.ts";
import type { TokenGrant, TokenWay } from "./vault-token.ts";

const TOKEN_CHARACTERS_MAX = 16 * 1024;

export function tokenWay(client: VaultClient, auth: VaultAuth, read: ReadSecretKey): TokenWay {
  return {
    obtain: (signal) =>
      auth.kind === "kubernetes" ? login(client, auth, signal) : kept(client, auth.secret, read, signal),
    renew: (token, signal) => renew(client, auth, token, signal),
  };
}

/** As what the token is had by, for messages. */
export const authTitle = (auth: VaultAuth): string =>
  auth.kind === "kubernetes"
    ? `role ${auth.role} of auth/${mountOf(auth.mountPath)}`
    : `the token in Secret ${auth.secret.namespace}/${auth.secret.name}`;

const mountOf = (mountPath: string): string => mountPath.replace(/^\/?(v1\/)?(auth\/)?/, "").replace(/\/$/, "");

/** The Kubernetes auth method: our service account's token, read anew as the kubelet replaces it, for one of Vault's. */
async function login(
  client: VaultClient,
  auth: VaultAuth & { kind: "kubernetes" },
  signal: AbortSignal,
): Promise<TokenGrant> {
  const { role, tokenFile } = auth;
  const mount = mountOf(auth.mountPath);
  const reply = await client.ask(
    {
      method: "POST",
      path: `auth/${mount}/login`,
      token: "",
      body: { role, jwt: await serviceAccountToken(tokenFile) },
      refusals: [
        {
          says: /invalid role name/,
          fix: `there is no role ${role}; make it with \`vault write auth/${mount}/role/${role} …\`, or correct the policy's role`,
        },
        { says: /missing/, fix: "the policy's role, or our token file, is empty" },
      ],
      onDenied:
        `it does not take our service account's token for role ${role}, or no Kubernetes authentication is at auth/${mount}; the ` +
        `role's bound_service_account_names, bound_service_account_namespaces and audience have to fit ours, auth/${mount}/config ` +
        `has to name our cluster's API server, and Vault has to be allowed TokenReviews there`,
      onAbsent: `no Kubernetes authentication is at auth/${mount}; run \`vault auth enable -path=${mount} kubernetes\`, or correct mountPath`,
    },
    signal,
  );
  return grantOf(client, reply, `auth/${mount}/login`);
}

async function serviceAccountToken(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((thrown: unknown) => {
    throw new MeshError(
      "absent",
      `the service account's token, which is shown to Vault, cannot be read: ${messageOf(thrown)}; mount it there`,
    );
  });
  return plausible(text, path);
}

/** A token that somebody else made; how long it lives is asked, where it may ask that of itself. */
async function kept(
  client: VaultClient,
  secret: ObjectName,
  read: ReadSecretKey,
  signal: AbortSignal,
): Promise<TokenGrant> {
  const name = `Secret ${secret.namespace}/${secret.name}, key token`;
  const token = plausible(await read(secret, "token", signal), name);
  const unknown = { token, lifeMs: Infinity, renewable: false };
  try {
    const { data } = await client.ask(
      {
        method: "GET",
        path: "auth/token/lookup-self",
        token,
        body: undefined,
        refusals: [],
        onDenied: "",
        onAbsent: "",
      },
      signal,
    );
    const lifeMs = Number(data["ttl"]) * 1000;
    return lifeMs > 0 ? { token, lifeMs, renewable: data["renewable"] === true } : unknown;
  } catch (thrown) {
    // It may be one that may do what it is for, and nothing else.
    if (MeshError.from(thrown).code === "denied") return unknown;
    throw thrown;
  }
}

/** It becomes a header, and must be one. */
function plausible(text: string, from: string): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token) && token.length <= TOKEN_CHARACTERS_MAX) return token;
  const what = token === "" ? "is empty" : "holds what is no token";
  throw new MeshError("invalid", `${from} ${what}; put one token there, and nothing else`);
}

async function renew(client: VaultClient, auth: VaultAuth, token: string, signal: AbortSignal): Promise<TokenGrant> {
  const path = "auth/token/renew-self";
  const reply = await client.ask(
    {
      method: "POST",
      path,
      token,
      body: {},
      refusals: [],
      onDenied: `${authTitle(auth)} cannot be renewed: it has ended or was revoked, or may not renew itself, which Vault's policy default allows`,
      onAbsent: "check that server is Vault itself",
    },
    signal,
  );
  return grantOf(client, reply, path);
}

function grantOf({ name }: VaultClient, { auth }: VaultReply, path: string): TokenGrant {
  const { client_token: token, lease_duration: seconds, renewable } = auth;
  if (typeof token !== "string" || token === "" || typeof seconds !== "number" || !(seconds >= 0))
    throw new MeshError(
      "invalid",
      `${name} answers POST ${path} without a token in auth.client_token; check that server is Vault itself`,
    );
  return {
    token: plausible(token, `the answer of ${name} to POST ${path}`),
    lifeMs: seconds === 0 ? Infinity : seconds * 1000,
    renewable: renewable === true,
  };
}
