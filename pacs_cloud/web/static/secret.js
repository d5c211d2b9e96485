// A link has its secret behind the "#", which browsers send to nobody. It goes out of the
// address bar and the history before anything else happens, and into the form where there is
// one. That uses nothing up: it shows what the link is for.

const secret = location.hash.slice(1);
if (/^[\w-]{43,}$/.test(secret)) {
  history.replaceState(null, "", location.pathname + location.search);
  const field = document.getElementById("secret");
  if (field) {
    field.value = secret;
    field.form.requestSubmit();
  }
}
