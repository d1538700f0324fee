// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Test of what needs no kernel: SHA-256, JSON, its canonical form, names. It
 * runs on the machine, and on the host under the sanitizers.
 *
 * Usage: pure_test                TAP
 *        pure_test numbers        the canonical form of each line of standard input
 *        pure_test digest         the digest of standard input
 *        pure_test read           reads a message and makes it canonical: for a fuzzer's input
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmcp.h"
#include "json.h"
#include "sha256.h"
#include "tap.h"

/* ---- SHA-256: the examples of NIST ------------------------------------------------ */

static void check_digest(const void *data, size_t len, const char *wanted, const char *what)
{
	uint8_t digest[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];

	sha256(data, len, digest);
	for (int i = 0; i < SHA256_SIZE; i++)
		sprintf(hex + 2 * i, "%02x", digest[i]);
	if (!check(!strcmp(hex, wanted), "SHA-256 of %s", what))
		printf("# got %s\n", hex);
}

static void test_sha256(void)
{
	static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	static char million[1000000];

	check_digest("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "nothing");
	check_digest("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc");
	check_digest(two_blocks, sizeof(two_blocks) - 1,
		     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", "56 bytes");
	memset(million, 'a', sizeof(million));
	check_digest(million, sizeof(million),
		     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "a million a");
	/* Where the padding takes another block, and where it just does not. */
	check_digest(million, 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318", "55 a");
	check_digest(million, 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a", "56 a");
	check_digest(million, 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb", "64 a");
}

/* ---- The canonical form ------------------------------------------------------------ */

static void check_canonical(const char *json, const char *wanted)
{
	char *canonical = NULL;
	size_t len = 0;
	int error = libmcp_canonical(json, strlen(json), &canonical, &len);

	if (!check(!error && len == strlen(wanted) && !memcmp(canonical, wanted, len),
		   "canonical form of %.60s", json))
		printf("# error %d, got %.*s\n", error, (int)len, canonical ? canonical : "");
	free(canonical);
}

/* @wanted 0: it is taken. */
static void check_refused(const char *json, size_t len, int wanted, const char *what)
{
	char *canonical = NULL;
	size_t written;

	check_is(libmcp_canonical(json, len, &canonical, &written), wanted, "%s", what);
	free(canonical);
}

#define REFUSED(json, error, what)	check_refused(json, sizeof(json) - 1, error, what)

static void test_canonical(void)
{
	/* RFC 8785, sections 3.2.2, 3.2.3 and appendix B. */
	check_canonical("{ \"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],\n"
			"  \"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\n"
			"  \"literals\": [null, true, false] }",
			"{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
			"\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
	check_canonical("{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With "
			"Dagesh\",\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
			"\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\",\"\xc3\xb6\":\"Latin Small "
			"Letter O With Diaeresis\",\"\xe2\x82\xac\":\"Euro Sign\",\"\xf0\x9f\x98\x80\":\"Emoji: Grinning "
			"Face\",\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
	check_canonical("[56,{\"d\":true,\"10\":null,\"1\":[]}]", "[56,{\"1\":[],\"10\":null,\"d\":true}]");
	check_canonical(" {\"b\":{\"y\":1,\"x\":{}},\"a\":[ ]} ", "{\"a\":[],\"b\":{\"x\":{},\"y\":1}}");
	check_canonical("\"\\b\\f\\n\\r\\t\\u007f\\u2028\"", "\"\\b\\f\\n\\r\\t\x7f\xe2\x80\xa8\"");
	REFUSED("{\"a\":1,\"\\u0061\":2}", -EINVAL, "a name that is there twice, written in two ways");
	REFUSED("1e400", -ERANGE, "a number beyond a double");
	REFUSED("-1e400", -ERANGE, "one below");
	REFUSED("{\"a\":1} 2", -EBADMSG, "something after the value");
}

struct number {
	const char *written, *wanted;
};

static void test_numbers(void)
{
	/* RFC 8785, appendix B, and where ECMAScript changes its form. */
	static const struct number numbers[] = {
		{ "0", "0" }, { "-0", "0" }, { "-0.0e5", "0" }, { "1e-400", "0" },
		{ "5e-324", "5e-324" }, { "4.9e-324", "5e-324" }, { "-5e-324", "-5e-324" },
		{ "1.7976931348623157e308", "1.7976931348623157e+308" },
		{ "-1.7976931348623157e308", "-1.7976931348623157e+308" },
		{ "9007199254740992", "9007199254740992" }, { "-9007199254740992", "-9007199254740992" },
		{ "295147905179352830000", "295147905179352830000" },
		{ "9.999999999999997e22", "9.999999999999997e+22" }, { "1e23", "1e+23" },
		{ "1.0000000000000001e23", "1.0000000000000001e+23" },
		{ "999999999999999700000", "999999999999999700000" },
		{ "999999999999999900000", "999999999999999900000" }, { "1e21", "1e+21" },
		{ "9.999999999999997e-7", "9.999999999999997e-7" }, { "0.000001", "0.000001" },
		{ "333333333.3333332", "333333333.3333332" }, { "333333333.33333325", "333333333.33333325" },
		{ "333333333.3333333", "333333333.3333333" }, { "333333333.3333334", "333333333.3333334" },
		{ "333333333.33333343", "333333333.33333343" },
		{ "-0.0000033333333333333333", "-0.0000033333333333333333" },
		{ "1424953923781206.2", "1424953923781206.2" },
		{ "5.684341886080801486968994140625e-14", "5.684341886080802e-14" },
		{ "1E+2", "100" }, { "123e-2", "1.23" }, { "100.0", "100" }, { "1e5", "100000" },
		{ "0.1", "0.1" }, { "1e-7", "1e-7" }, { "12345678901234567890", "12345678901234567000" },
	};
	char longest[400];

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		check_canonical(numbers[i].written, numbers[i].wanted);
	memset(longest, '1', sizeof(longest));
	check_refused(longest, 257, -ERANGE, "a number of 257 digits");
	check_refused(longest, 256, 0, "one of 256 is taken");
}

/* ---- What JSON is not ---------------------------------------------------------------- */

static void test_malformed(void)
{
	static const char *const texts[] = {
		"", " ", "{", "[", "]", "}", "\"", "nul", "truee", "tru", "+1", "01", "1.", ".5", "1e", "1e+", "--1",
		"0x10", "NaN", "Infinity", "'a'", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1,]", "[,1]", "[1 2]",
		"{\"a\" 1}", "{\"a\":1 \"b\":2}", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"",
		"\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"\n\"", "\"\t\"", "\"\\", "\"\\u", "\xef\xbb\xbf{}", "// x\n1",
		"\"\x80\"", "\"\xc0\xaf\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xf8\"",
		"\"\xc3\"", "\"\xe2\x82\"", "\"\xf0\x9f\x98\"", "1 1", "{}{}", "[1}", "{]",
	};
	struct libmcp_message message;
	char deep[300];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char *canonical;
		size_t len;

		check_is(libmcp_canonical(texts[i], strlen(texts[i]), &canonical, &len), -EBADMSG,
			 "text %zu is not JSON", i);
		check_is(libmcp_read(texts[i], strlen(texts[i]), &message), -EBADMSG, "nor a message");
	}
	check_refused("\"\0\"", 3, -EBADMSG, "a zero in a string");
	check_refused("\"\\\0\"", 4, -EBADMSG, "an escaped zero byte");
	memset(deep, '[', 65);
	memset(deep + 65, ']', 65);
	check_refused(deep, 130, -EBADMSG, "65 levels");
	check_refused(deep + 1, 128, 0, "64 levels are taken");
	memset(deep, '[', sizeof(deep));
	check_refused(deep, sizeof(deep), -EBADMSG, "300 levels that do not end");
}

/* ---- Messages ------------------------------------------------------------------------ */

static int read_text(const char *text, struct libmcp_message *message)
{
	return libmcp_read(text, strlen(text), message);
}

static bool says(struct libmcp_text text, const char *wanted)
{
	return text.len == strlen(wanted) && !memcmp(text.text, wanted, text.len);
}

static void test_messages(void)
{
	static const char *const refused[] = {
		"[]", "1", "null", "{}", "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
		"{\"id\":1,\"method\":\"ping\"}", "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}",
		"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"ping\"}", "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":[]}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"result\":{}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"no\"}",
		"{\"jsonrpc\":\"2.0\",\"result\":{}}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"params\":{},\"result\":{}}",
		/* Twice: who reads it next may take the other. */
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"method\":\"b\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"m\\u0065thod\":\"b\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,\"method\":\"a\"}",
		"{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{},\"params\":{}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"name\":\"x\",\"name\":\"y\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"name\":\"x\",\"\\u006eame\":\"y\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"arguments\":{},\"arguments\":{}}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"_meta\":{},\"_meta\":{}}}",
	};
	static const char call[] =
		" {\"params\":{\"x\":{\"name\":\"no\"},\"n\\u0061me\":\"g\\u0065t\",\"arguments\":{\"name\":1},"
		"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}},"
		"\"meth\\u006fd\":\"tools\\/call\",\"id\":\"a\",\"jsonrpc\":\"2.0\"}\n";
	struct libmcp_message message;
	char id[LIBMCP_ID_MAX + 80];

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		check_is(read_text(refused[i], &message), -EINVAL, "no message: %.70s", refused[i]);
	check(!read_text(call, &message) && message.kind == LIBMCP_REQUEST && says(message.id, "\"a\"") &&
	      libmcp_text_is(message.method, "tools/call") && libmcp_text_is(message.name, "get") &&
	      says(message.arguments, "{\"name\":1}") && libmcp_text_is(message.revision, "2026-07-28"),
	      "a request, with escapes, in any order");
	check(!libmcp_text_is(message.method, "tools/cal") && !libmcp_text_is(message.method, "tools/calls") &&
	      !libmcp_text_is(message.arguments, "{"), "other texts are others");
	check(!read_text("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}", &message) &&
	      message.kind == LIBMCP_NOTIFICATION && !message.id.len, "a notification");
	check(!read_text("{\"jsonrpc\":\"2.0\",\"id\":-3,\"result\":{}}", &message) &&
	      message.kind == LIBMCP_RESULT && says(message.id, "-3"), "a result");
	check(!read_text("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{}}", &message) &&
	      message.kind == LIBMCP_ERROR && !message.id.len, "an error about what could not be read");
	for (int more = 0; more < 2; more++) {
		int len = snprintf(id, sizeof(id), "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":%0*d}",
				   LIBMCP_ID_MAX + more, 1);

		/* A number does not begin with zeros. */
		memset(strstr(id, "id\":") + 4, '7', (size_t)(LIBMCP_ID_MAX + more));
		check_is(libmcp_read(id, (size_t)len, &message), more ? -EINVAL : 0, "an id of %d bytes",
			 LIBMCP_ID_MAX + more);
	}
}

static void test_members(void)
{
	static const char members[] = "{\"a\":\"x\\u00e9\\u0000\",\"b\":\"\\ud83d\\ude00\",\"c\":1}";
	const struct libmcp_text object = { members, sizeof(members) - 1 };
	const struct libmcp_text twice = { "{\"a\":1,\"a\":2}", 13 }, list = { "[1]", 3 }, none = { NULL, 0 };
	struct libmcp_text value;
	char out[5];

	check(!libmcp_member(object, "c", &value) && says(value, "1"), "a member");
	check_is(libmcp_string(value, out, sizeof(out)), -EINVAL, "a number is no string");
	check_is(libmcp_member(object, "d", &value), -ENOENT, "no member");
	check_is(libmcp_member(twice, "a", &value), -EINVAL, "a member that is there twice");
	check_is(libmcp_member(list, "a", &value), -EINVAL, "no object");
	check_is(libmcp_member(none, "a", &value), -EINVAL, "nothing at all");
	check_is(libmcp_string(none, out, sizeof(out)), -EINVAL, "no string in it either");
	libmcp_member(object, "a", &value);
	check_is(libmcp_string(value, out, sizeof(out)), -EINVAL, "a string with a zero in it");
	libmcp_member(object, "b", &value);
	check_is(libmcp_string(value, out, 4), -ENOSPC, "no room for its end");
	check(libmcp_string(value, out, 5) == 4 && !strcmp(out, "\xf0\x9f\x98\x80"), "a character beyond 16 bits");
}

/* ---- Names --------------------------------------------------------------------------- */

static void check_name(const char *name, const char *wanted)
{
	char out[MCP_NAME_SIZE];

	if (!check(!libmcp_bus_name(name, strlen(name), out) && !strcmp(out, wanted), "name of %.50s", name))
		printf("# got %s\n", out);
}

static void test_names(void)
{
	static const char full[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ_/";
	char longer[sizeof(full) + 1], out[MCP_NAME_SIZE];
	char *body;
	size_t len;

	check_name("gpio_read", "gpio_read");
	check_name(full, full);
	snprintf(longer, sizeof(longer), "%sx", full);
	check_name(longer, "abcdefghijklmnopqrstuvwxyz01234.41da4146364b63fb");
	check_name("get load", "get_load.cfe73a51634ebd4a");
	check_name("caf\xc3\xa9 \xf0\x9f\x98\x80!", "caf____.e42d53b879f7c09a");
	check_is(libmcp_bus_name("", 0, out), -EINVAL, "an empty name");
	check_is(libmcp_bus_name("a\xff", 2, out), -EINVAL, "one that is not UTF-8");
	check(!libmcp_bus_name("a\0b", 3, out) && !strncmp(out, "a_b.", 4), "a zero is another character");
	check_is(LIBMCP_TRANSPORT_CODE(-EPIPE), -33000 - EPIPE, "the code of EPIPE");
	check(!libmcp_transport_error(-EPIPE, (struct libmcp_text){ "7", 1 }, &body, &len) &&
	      says((struct libmcp_text){ body, len }, "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-33032,\"message\":"
	      "\"transport: EPIPE\",\"data\":{\"origin\":\"transport\",\"errno\":\"EPIPE\"}}}"), "its error");
	free(body);
	check_is(libmcp_transport_error(0, (struct libmcp_text){ 0 }, &body, &len), -EINVAL, "no error is none");
}

/* ---- Other uses ------------------------------------------------------------------------ */

static int print_lines(void)
{
	char line[512];

	while (fgets(line, sizeof(line), stdin)) {
		char *canonical;
		size_t len;
		int error = libmcp_canonical(line, strcspn(line, "\n"), &canonical, &len);

		if (error) {
			printf("%s\n", libmcp_error_name(error));
			continue;
		}
		printf("%.*s\n", (int)len, canonical);
		free(canonical);
	}
	return 0;
}

static int print_digest(void)
{
	char text[4096];
	uint8_t digest[MCP_DIGEST_SIZE];
	int error = libmcp_digest(text, fread(text, 1, sizeof(text), stdin), digest);

	for (int i = 0; !error && i < MCP_DIGEST_SIZE; i++)
		printf("%02x", digest[i]);
	puts(error ? libmcp_error_name(error) : "");
	return !!error;
}

/* The canonical form is a fixed point, and a message stays one. */
static int read_any(void)
{
	static char text[1 << 20];
	size_t len = fread(text, 1, sizeof(text), stdin), first, second;
	/* Of its own size, so that a sanitizer sees one byte too many. */
	char *exact = malloc(len + !len), *once = NULL, *twice = NULL;
	struct libmcp_message message;
	int error;

	if (!exact)
		return 1;
	memcpy(exact, text, len);
	libmcp_read(exact, len, &message);
	error = libmcp_canonical(exact, len, &once, &first);
	free(exact);
	if (error)
		return 0;
	error = libmcp_canonical(once, first, &twice, &second) || first != second || memcmp(once, twice, first);
	free(once);
	free(twice);
	return error ? 2 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "numbers"))
		return print_lines();
	if (argc == 2 && !strcmp(argv[1], "digest"))
		return print_digest();
	if (argc == 2 && !strcmp(argv[1], "read"))
		return read_any();
	tap_begin();
	test_sha256();
	test_canonical();
	test_numbers();
	test_malformed();
	test_messages();
	test_members();
	test_names();
	return tap_end();
}
