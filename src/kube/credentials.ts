import { readFile } from "node:fs/promises";
import { MeshError, messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import type { Login, Material, UserAuth } from "./connection.ts";
import { PluginLogin } from "./plugin-login.ts";
import type { Credentials, Proof } from "./proof.ts";

export function openCredentials(clock: Clock, { certificate, login, headers = {} }: UserAuth): Credentials {
  const loginProof = login === undefined ? undefined : openLogin(clock, login);
  return {
    async current() {
      const shown = await loginProof?.current();
      const pair =
        shown?.certificate ??
        (certificate && { certificate: await textOf(certificate.certificate), key: await textOf(certificate.key) });
      return { headers: { ...headers, ...shown?.headers }, ...(pair && { certificate: pair }) };
    },
    refresh: async () => (await loginProof?.refresh()) ?? false,
  };
}

function openLogin(clock: Clock, login: Login): Credentials {
  switch (login.kind) {
    case "token":
      return "file" in login.token ? new TokenFile(clock, login.token.file) : fixed(`Bearer ${login.token.text}`);
    case "basic":
      return fixed(`Basic ${Buffer.from(`${login.username}:${login.password}`).toString("base64")}`);
    case "exec":
    case "oidc":
      return new PluginLogin(clock, login);
  }
}

function fixed(authorization: string): Credentials {
  const proof = { headers: { authorization } };
  return { current: () => Promise.resolve(proof), refresh: () => Promise.resolve(false) };
}

/** What a material says now. @throws MeshError `absent` if its file cannot be read. */
export async function textOf(material: Material): Promise<string> {
  if ("text" in material) return material.text;
  try {
    return await readFile(material.file, "utf8");
  } catch (thrown) {
    throw new MeshError("absent", `${material.file} cannot be read: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
}

/** Kubelets renew a token when a fifth of its life is left: 12 minutes, by default. */
const TOKEN_AGE_MS_MAX = 60_000;

/** A token that somebody else renews: read at most once a minute, and again when the server refuses it. */
class TokenFile implements Credentials {
  readonly #clock: Clock;
  readonly #path: string;
  #token = "";
  #readAtMs = -Infinity;
  #reading: Promise<void> | undefined;

  constructor(clock: Clock, path: string) {
    this.#clock = clock;
    this.#path = path;
  }

  async current(): Promise<Proof> {
    if (this.#clock.elapsedMs() - this.#readAtMs >= TOKEN_AGE_MS_MAX) await this.#read();
    return { headers: { authorization: `Bearer ${this.#token}` } };
  }

  async refresh(): Promise<boolean> {
    const refused = this.#token;
    await this.#read();
    return this.#token !== refused;
  }

  #read(): Promise<void> {
    return (this.#reading ??= this.#readNow().finally(() => (this.#reading = undefined)));
  }

  async #readNow(): Promise<void> {
    try {
      const token = (await textOf({ file: this.#path })).trim();
      if (!/^[\x21-\x7e]+$/.test(token)) throw new MeshError("invalid", `${this.#path} holds no token`);
      this.#token = token;
    } catch (thrown) {
      // The old one may be good for a while yet; whether it is, the server says.
      if (this.#token === "") throw thrown;
    }
    this.#readAtMs = this.#clock.elapsedMs();
  }
}
