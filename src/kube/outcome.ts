import { messageOf } from "../errors.ts";
import { ApiError } from "./api.ts";

/** What an API was asked for, or why it failed. */
export async function outcomeOf<T>(asked: Promise<T>): Promise<{ readonly value: T } | { readonly error: ApiError }> {
  try {
    return { value: await asked };
  } catch (error) {
    if (error instanceof ApiError) return { error };
    return { error: new ApiError("internal", messageOf(error), 0, "", undefined, { cause: error }) };
  }
}
