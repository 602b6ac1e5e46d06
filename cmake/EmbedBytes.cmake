# cmake -DOUTPUT=file.cc -DHEADER=path.h -DNAMESPACE=a::b -DNAME=x -DINPUT=x.bin -P EmbedBytes.cmake
# Writes a source file that defines `NAME` and `NAME_size`, the bytes of a file.
file(READ ${INPUT} bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"${HEADER}\"\n\nnamespace ${NAMESPACE} {\n\n"
  "alignas(8) const unsigned char ${NAME}[] = {${bytes}};\n"
  "const std::size_t ${NAME}_size = ${size};\n\n}  // namespace ${NAMESPACE}\n")
