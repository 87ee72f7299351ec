import { parseAllDocuments, stringify } from "yaml";
import { isPlace } from "./assignments.ts";
import { derKind } from "./der-kind.ts";
import { isMarker, markerOf, type SecretKind } from "./marker.ts";
import { isPasswordName, isSecretName } from "./secret-name.ts";
import type { Found } from "./text-rules.ts";

/** Texts that are longer are not read as YAML, which takes its time; they are looked through as text. */
const YAML_CHARACTERS_MAX = 1_000_000;
const DEPTH_MAX = 100;
/** Of a Secret these say of whom it is, and would take names with them; they are redacted, and not looked for elsewhere. */
const TELLING_KEYS =
  /^(?:namespace|username|user|host|hostname|port|cluster|name|type|database|db|region|endpoint|url)$/i;
const JWK_PRIVATE = /^(?:d|p|q|dp|dq|qi|k|oth)$/;

type Fields = Readonly<Record<string, unknown>>;
type Text = (text: string) => string;

/** @param text looks through what is no structure. */
export function redactValue(value: unknown, found: Found, text: Text): unknown {
  return new ValueRedaction(found, text).any(value, "", 0);
}

class ValueRedaction {
  readonly #found: Found;
  readonly #text: Text;

  constructor(found: Found, text: Text) {
    this.#found = found;
    this.#text = text;
  }

  any(value: unknown, name: string, depth: number): unknown {
    if (depth > DEPTH_MAX) return this.#taken("encoded");
    if (typeof value === "string") return this.#leaf(value, name, depth);
    if (typeof value === "number" && name !== "" && isPasswordName(name) && isSecretName(name))
      return this.#taken("password", `${value}`);
    if (Array.isArray(value)) return this.#list(value, name, depth);
    return isFields(value) ? this.#fields(value, depth) : value;
  }

  #taken(kind: SecretKind, secret?: string): string {
    this.#found(kind, secret);
    return markerOf(kind);
  }

  #list(values: readonly unknown[], name: string, depth: number): unknown[] {
    return values.map((value, at) => {
      const flag =
        typeof values[at - 1] === "string" ? /^--?([\w.-]+)$/.exec(values[at - 1] as string)?.[1] : undefined;
      return this.any(value, flag ?? name, depth + 1);
    });
  }

  #fields(fields: Fields, depth: number): Fields {
    const isSecret = fields["kind"] === "Secret" && /^v1$|^undefined$/.test(`${fields["apiVersion"] as string}`);
    const named =
      typeof fields["name"] === "string" ? fields["name"] : typeof fields["key"] === "string" ? fields["key"] : "";
    const isJwk = "kty" in fields;
    const entries = Object.entries(fields).map(([key, value]): [string, unknown] => {
      const shown = key.length < 16 ? key : this.#text(key);
      if (isSecret && (key === "data" || key === "stringData")) return [shown, this.#secretData(value, key === "data")];
      if (isJwk && JWK_PRIVATE.test(key)) return [shown, this.#taken("private key", asText(value))];
      // As environment variables and headers are listed.
      const name = key === "value" && named !== "" ? named : key;
      return [shown, this.any(value, name, depth + 1)];
    });
    return Object.fromEntries(entries);
  }

  #secretData(data: unknown, encoded: boolean): unknown {
    if (!isFields(data)) return data === undefined || data === null ? data : this.#taken("secret data", asText(data));
    const entries = Object.entries(data).map(([key, value]) => {
      const written = asText(value);
      const said = encoded ? Buffer.from(written, "base64").toString("utf8") : written;
      if (/^(?:-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----\s*)+$/.test(said))
        if (this.#text(said) === said) return [key, value] as const;
      const learned = TELLING_KEYS.test(key) ? undefined : said.includes("\uFFFD") ? written : said;
      if (learned !== undefined && said.includes("\n")) for (const line of said.split("\n")) this.#quietly(line);
      return [key, this.#taken("secret data", learned)] as const;
    });
    return Object.fromEntries(entries);
  }

  /** A line of a secret of several is looked for as well, unless it says where something is. */
  #quietly(line: string): void {
    if (line.length >= 16 && !/[:=]\s|-----|^\s*#/.test(line)) this.#found("secret data", line);
    else this.#text(line);
  }

  #leaf(value: string, name: string, depth: number): string {
    if (name !== "" && isSecretName(name) && !isMarker(value) && !isTold(value))
      return this.#taken(isPasswordName(name) ? "password" : "named secret", value);
    return this.#structured(value, depth) ?? this.#text(value);
  }

  /** What a text that is JSON or YAML says once it is redacted; undefined if it is neither. */
  #structured(value: string, depth: number): string | undefined {
    const begins = value.trimStart();
    if (/^[{[]/.test(begins)) {
      const parsed = parseJson(value);
      if (parsed === undefined) return undefined;
      const redacted = JSON.stringify(this.any(parsed, "", depth + 1));
      return redacted === JSON.stringify(parsed) ? value : redacted;
    }
    if (!value.includes("\n") || value.length > YAML_CHARACTERS_MAX || !/^\s*(?:- )?[\w."'/-]+:(?:\s|$)/m.test(value))
      return undefined;
    return this.#yaml(value, depth);
  }

  #yaml(value: string, depth: number): string | undefined {
    const documents = parseYaml(value);
    if (documents === undefined) return undefined;
    const redacted = documents.map((document) => this.any(document, "", depth + 1));
    if (JSON.stringify(redacted) === JSON.stringify(documents)) return undefined;
    return redacted.map((document) => stringify(document)).join("---\n");
  }
}

/** Truths and places are no secrets, whatever their name; nor is what everybody may have. */
const isTold = (value: string): boolean =>
  /^(?:|true|false|none|null)$/i.test(value.trim()) ||
  isPlace(value) ||
  (/^-----BEGIN CERTIFICATE-----/.test(value) && !/PRIVATE/.test(value)) ||
  derKind(Buffer.from(value.slice(0, 4_096), "base64")) === "public";

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const asText = (value: unknown): string => (typeof value === "string" ? value : (JSON.stringify(value) ?? ""));

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Undefined unless it is whole and is more than words. */
function parseYaml(text: string): readonly unknown[] | undefined {
  try {
    const documents = parseAllDocuments(text, { logLevel: "silent", uniqueKeys: false });
    if (!Array.isArray(documents) || documents.some(({ errors }) => errors.length > 0)) return undefined;
    const values = documents.map((document) => document.toJS({ maxAliasCount: 100 }) as unknown);
    return values.every((value) => typeof value === "object") && values.some((value) => value !== null)
      ? values
      : undefined;
  } catch {
    return undefined;
  }
}
