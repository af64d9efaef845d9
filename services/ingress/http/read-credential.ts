import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";

const plainHeaders = ["x-api-key", "api-key", "x-goog-api-key"] as const;
const maxCredentialLength = 512;

/**
 * Reads the credential of a request from any of the headers in which SDKs send it. Throws INVALID_API_KEY when there is
 * none, or when two differ: which of them was meant nobody can know. `header` gives the value of a header by its name.
 */
export function readCredential(header: (name: string) => string | undefined): string {
  const given: string[] = [];
  const authorization = header("authorization");
  if (authorization !== undefined) {
    const bearer = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (bearer === undefined) {
      throw refused("The Authorization header must be of the form: Bearer, a space, the API key.");
    }
    given.push(bearer);
  }
  for (const name of plainHeaders) {
    const value = header(name);
    if (value !== undefined && value !== "") {
      given.push(value);
    }
  }
  const [first] = given;
  if (first === undefined) {
    throw refused(
      "You didn't provide an API key. Provide it in an Authorization header: Bearer, a space, the API key.",
    );
  }
  if (given.some((value) => value !== first)) {
    throw refused("The request has two different API keys.");
  }
  if (first.length > maxCredentialLength) {
    throw refused("Incorrect API key provided.");
  }
  return first;
}

function refused(message: string) {
  return gatewayError(ErrorReason.INVALID_API_KEY, message);
}
