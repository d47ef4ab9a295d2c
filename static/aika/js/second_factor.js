// Security keys: a button asks the browser's WebAuthn, and the answer goes with the form it stands in.
// data-key is "create" or "get". What is asked stands in data-key-options, or comes from data-key-url when it is pressed.

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (sign) => sign.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function readOptions(asked) {
  const options = { ...asked.publicKey, challenge: bytes(asked.publicKey.challenge) };
  if (options.user) options.user = { ...options.user, id: bytes(options.user.id) };
  for (const list of ["allowCredentials", "excludeCredentials"]) {
    if (options[list]) options[list] = options[list].map((one) => ({ ...one, id: bytes(one.id) }));
  }
  return options;
}

function written(credential) {
  const said = credential.response;
  const response = { clientDataJSON: text(said.clientDataJSON) };
  if (said.attestationObject) {
    response.attestationObject = text(said.attestationObject);
    response.transports = said.getTransports ? said.getTransports() : [];
  } else {
    response.authenticatorData = text(said.authenticatorData);
    response.signature = text(said.signature);
    response.userHandle = said.userHandle ? text(said.userHandle) : null;
  }
  return JSON.stringify({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: credential.getClientExtensionResults(),
    response,
  });
}

async function asked(button, form) {
  if (!button.dataset.keyUrl) return JSON.parse(button.dataset.keyOptions);
  const answer = await fetch(button.dataset.keyUrl, {
    method: "POST",
    headers: { Accept: "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
    cache: "no-store",
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail || "Aika does not answer.");
  return body;
}

function reason(error) {
  if (error.name === "NotAllowedError") return "Nothing was shown: it was canceled, or took too long. Try again.";
  if (error.name === "InvalidStateError") return "This key is added already.";
  if (error.name === "SecurityError") return "Keys work under this server's own name over TLS only.";
  return error.message;
}

async function press(button) {
  const form = button.closest("form");
  const trouble = form.querySelector("[data-key-error]");
  button.disabled = true;
  if (trouble) trouble.hidden = true;
  try {
    if (!navigator.credentials) throw new Error("This browser offers no security keys here.");
    const publicKey = readOptions(await asked(button, form));
    const credential = await navigator.credentials[button.dataset.key]({ publicKey });
    form.elements[button.dataset.keyField || "credential"].value = written(credential);
    const submitter = button.dataset.keySubmit && document.getElementById(button.dataset.keySubmit);
    form.requestSubmit(submitter || undefined);
  } catch (error) {
    if (trouble) {
      trouble.textContent = reason(error);
      trouble.hidden = false;
    }
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-key]");
  if (button) press(button);
});
